package proxy

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/wirecorpus"
)

// The table of make wire-diff: what the gateway, nginx and HAProxy make of each request of the corpus. OUTRIGGER_WIRE_DIFF names the folder for it.
func TestRequestsBesideOthers(t *testing.T) {
	folder := os.Getenv("OUTRIGGER_WIRE_DIFF")
	if folder == "" {
		t.Skip("make wire-diff runs it")
	}
	cases, err := wirecorpus.Requests()
	if err != nil {
		t.Fatal(err)
	}
	service, err := wirecorpus.NewService()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	others := []struct{ name, addr string }{
		{"outrigger", serveAlso(t, start(t, echo, corpusConfig(service.Addr), nil), corpusServer)},
		{"nginx", startNginx(t, service.Addr)},
		{"HAProxy", startHAProxy(t, service.Addr)},
	}
	var table strings.Builder
	fmt.Fprintf(&table, "| case | outrigger | nginx | HAProxy |\n|---|---|---|---|\n")
	served, smuggled := map[string]int{}, map[string]int{}
	for i := range cases {
		c := &cases[i]
		fmt.Fprintf(&table, "| %s |", c.ID())
		for _, o := range others {
			if o.addr == "" {
				table.WriteString(" - |")
				continue
			}
			got, err := wirecorpus.Probe(o.addr, c, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			heard := service.Take()
			served[o.name] += len(heard)
			if slices.ContainsFunc(heard, func(s string) bool { return strings.Contains(s, " /smuggled") && !strings.Contains(s, " /a ") }) {
				smuggled[o.name]++
			}
			fmt.Fprintf(&table, " %s |", judged(got, len(heard)))
		}
		table.WriteByte('\n')
	}
	for _, o := range others {
		if o.addr != "" {
			fmt.Fprintf(&table, "\n%s: %d requests reached the service, in %d cases what stands behind a bad request or in a body\n", o.name, served[o.name], smuggled[o.name])
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "requests.md"), []byte(table.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// judged is an answer in a few letters: the statuses, what became of the connection, and how many requests reached the service.
func judged(a wirecorpus.Answer, heard int) string {
	var b strings.Builder
	for _, s := range a.Statuses {
		switch s {
		case 0:
			b.WriteString("closed ")
		case -1:
			b.WriteString("broken ")
		default:
			fmt.Fprintf(&b, "%d ", s)
		}
	}
	if a.Silent {
		b.WriteString("waits ")
	}
	return fmt.Sprintf("%s(%d)", &b, heard)
}

// corpusConfig routes what the corpus wants to be served to a service.
func corpusConfig(service string) string {
	return strings.ReplaceAll(`
_format_version: "3.0"
services: [{name: s, url: "http://SERVICE", retries: 0, routes: [{name: r, paths: [/a, /b, /c], strip_path: false}]}]
`, "SERVICE", service)
}

func startNginx(t *testing.T, service string) string {
	dir := t.TempDir()
	addr := freeAddr(t)
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events {}
http {
	access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen %[2]s;
		location / { proxy_pass http://%[3]s; proxy_http_version 1.1; proxy_set_header Connection ""; }
		location /none { return 404; }
	}
}
`, dir, addr, service)
	return startOther(t, "nginx", addr, conf, func(file string) []string { return []string{"-p", dir, "-c", file} })
}

func startHAProxy(t *testing.T, service string) string {
	addr := freeAddr(t)
	conf := fmt.Sprintf(`defaults
	mode http
	timeout connect 5s
	timeout client 5s
	timeout server 5s
frontend f
	bind %s
	http-request deny deny_status 404 if { path /none }
	default_backend b
backend b
	server s %s
`, addr, service)
	return startOther(t, "haproxy", addr, conf, func(file string) []string { return []string{"-db", "-q", "-f", file} })
}

// startOther runs another proxy until the test ends; "": it is not installed.
func startOther(t *testing.T, program, addr, conf string, args func(file string) []string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		path = "/usr/sbin/" + program
		if _, err := os.Stat(path); err != nil {
			return ""
		}
	}
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args(file)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v; it said %s", program, err, &said)
		}
	}
}

// freeAddr is an address on which nobody listens just now.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
