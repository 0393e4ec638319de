package responses

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestCases(t *testing.T) {
	cases, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if c.Want == "" || c.Bytes != "" && c.Chunks != "" || strings.Contains(string(c.Response()), "{") {
			t.Errorf("%s: wants %q, %q", c.ID(), c.Want, c.Response())
		}
	}
}

// other is another proxy to play the cases through.
type other struct {
	name    string
	config  string
	command func(config string) []string
}

var others = []other{
	{"nginx", `daemon off;
master_process off;
pid DIR/nginx.pid;
error_log DIR/nginx.log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path DIR/body;
  proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream u { server UPSTREAM; keepalive 8; }
  server {
    listen LISTEN;
    location / {
      proxy_pass http://u;
      proxy_http_version 1.1;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_next_upstream off;
      proxy_read_timeout 1s;
    }
  }
}
`, func(config string) []string { return []string{"nginx", "-c", config} }},
	{"haproxy", `defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 1s
  retries 0
  http-reuse always
frontend f
  bind LISTEN
  default_backend b
backend b
  server u UPSTREAM
`, func(config string) []string { return []string{"haproxy", "-db", "-f", config} }},
}

// start runs the proxy until the test ends, and returns its address.
func (o *other) start(t *testing.T, upstream string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, o.name+".conf")
	text := strings.NewReplacer("DIR", dir, "UPSTREAM", upstream, "LISTEN", addr).Replace(o.config)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := o.command(config)
	cmd := exec.Command(args[0], args[1:]...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s: %s", o.name, addr, said.Bytes())
		}
	}
}

// The table of make wire-diff: what becomes of each response behind this gateway, as its tests expect, behind nginx and behind HAProxy. OUTRIGGER_WIRE_DIFF
// names the folder for it.
func TestBesideOthers(t *testing.T) {
	folder := os.Getenv("OUTRIGGER_WIRE_DIFF")
	if folder == "" {
		t.Skip("make wire-diff runs it")
	}
	cases, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	var header, line, sum strings.Builder
	header.WriteString("| response | this gateway |")
	line.WriteString("|---|---|")
	rows := make([]string, len(cases))
	count := map[string]int{}
	for i, c := range cases {
		kept := ""
		if c.Kept != nil {
			kept = keptWord(*c.Kept)
		}
		rows[i] = fmt.Sprintf("| %s | %s%s |", c.ID(), c.Want, kept)
		count[c.Want]++
	}
	summary(&sum, "this gateway", count, 0, 0)
	for _, o := range others {
		if _, err := exec.LookPath(o.name); err != nil {
			t.Logf("%s is not installed", o.name)
			continue
		}
		up, err := NewUpstream(cases)
		if err != nil {
			t.Fatal(err)
		}
		addr := o.start(t, up.Addr)
		fmt.Fprintf(&header, " %s |", o.name)
		line.WriteString("---|")
		count, different, crossed := map[string]int{}, 0, 0
		for i, c := range cases {
			s, err := up.Play(addr, c, 5*time.Second)
			if err != nil {
				t.Fatalf("%s: %s: %v", o.name, c.ID(), err)
			}
			count[s.Result]++
			text := s.Result
			if c.Kept != nil {
				text += keptWord(s.Kept)
			}
			if s.Crossed != "" {
				text += ", **the next request got " + strings.ReplaceAll(s.Crossed, "|", "") + "**"
				crossed++
			}
			if s.Result != c.Want {
				text = "**" + text + "**"
				different++
			}
			rows[i] += " " + text + " |"
		}
		summary(&sum, o.name, count, different, crossed)
		up.Close()
	}
	table := header.String() + "\n" + line.String() + "\n" + strings.Join(rows, "\n") + "\n"
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "responses.md")
	if err := os.WriteFile(file, []byte(sum.String()+"\n"+table), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s\n%s", file, sum.String())
}

func keptWord(kept bool) string {
	if kept {
		return ", kept"
	}
	return ", closed"
}

// summary writes a line about all cases of one proxy.
func summary(b *strings.Builder, name string, count map[string]int, different, crossed int) {
	good := 0
	for result, n := range count {
		if status, err := strconv.Atoi(result); err == nil && status != 502 && status != 504 {
			good += n
		}
	}
	fmt.Fprintf(b, "%s: %d passed on, %d answered with 502, %d with 504, %d cut off, %d without a head that can be read, %d silent, %d followed by other bytes; "+
		"%d differ, %d times the next request got something else\n\n",
		name, good, count["502"], count["504"], count["cut"], count["none"], count["silent"], count["more"], different, crossed)
}
