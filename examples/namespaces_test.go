package examples

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machines are two network namespaces with a cable between them: what two machines are to TCP.
type machines struct {
	gateway, server string // names
	cable           string // the server's end
}

const serverIP = "10.213.77.2"

// connect makes the two machines. The test's cleanup removes them.
func connect(t *testing.T) machines {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("network namespaces need root and the program ip")
	}
	id := os.Getpid()
	m := machines{fmt.Sprintf("or-g%d", id), fmt.Sprintf("or-s%d", id), fmt.Sprintf("ors%d", id)}
	for _, ns := range []string{m.gateway, m.server} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("this machine allows no network namespace: %v: %s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	}
	near := fmt.Sprintf("org%d", id)
	cable := "link add " + near + " netns " + m.gateway + " type veth peer name " + m.cable + " netns " + m.server
	if out, err := exec.Command("ip", strings.Fields(cable)...).CombinedOutput(); err != nil {
		t.Skipf("this machine has no pairs of virtual network devices: %v: %s", err, out)
	}
	for _, line := range []string{
		"-n " + m.gateway + " addr add 10.213.77.1/24 dev " + near,
		"-n " + m.server + " addr add " + serverIP + "/24 dev " + m.cable,
		"-n " + m.gateway + " link set lo up",
		"-n " + m.server + " link set lo up",
		"-n " + m.gateway + " link set " + near + " up",
	} {
		ip(t, line)
	}
	m.plug(t, "up")
	return m
}

// plug sets the cable up or down.
func (m machines) plug(t *testing.T, state string) {
	t.Helper()
	ip(t, "-n "+m.server+" link set "+m.cable+" "+state)
}

func ip(t *testing.T, line string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", line, err, out)
	}
}

// within writes a program that runs another one on a machine. It keeps its process id.
func within(t *testing.T, machine, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run")
	write(t, path, fmt.Sprintf("#!/bin/sh\nexec ip netns exec %s %s \"$@\"\n", machine, program))
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// dialOn connects from a machine: a socket belongs to the namespace of the thread that makes it.
func dialOn(machine string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		runtime.LockOSThread() // without an unlock when the way back fails: the thread ends with its goroutine
		here, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return nil, err
		}
		defer here.Close()
		there, err := os.Open("/run/netns/" + machine)
		if err != nil {
			return nil, err
		}
		defer there.Close()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, err
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
			return nil, back
		}
		runtime.UnlockOSThread()
		return conn, err
	}
}

// authority signs certificates of one name into a directory: NAME.pem, NAME.key, and ca.pem. That of the name expired has expired.
func authority(t *testing.T, dir string) {
	t.Helper()
	write := func(name, kind string, der []byte) {
		write(t, filepath.Join(dir, name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	sign := func(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parentKey == nil {
			parentKey = key
		}
		end := time.Now().Add(time.Hour)
		if slices.Contains(template.DNSNames, "expired.example") {
			end = time.Now().Add(-time.Hour)
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-2*time.Hour), end
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
		if err != nil {
			t.Fatal(err)
		}
		return key, der
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of " + dir}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootKey, der := sign(root, root, nil)
	write("ca.pem", "CERTIFICATE", der)
	for i, name := range []string{"server", "gateway", "expired"} {
		key, der := sign(&x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 2)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name + ".example"},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, root, rootKey)
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".pem", "CERTIFICATE", der)
		write(name+".key", "PRIVATE KEY", keyDER)
	}
}

// A plugin server on another machine, with mutual TLS: the cable is cut and comes back. Meanwhile requests get the answer of the fail mode,
// none later than the deadline allows; afterwards everything works without a restart of anything.
func TestPluginServerOnAnotherMachine(t *testing.T) {
	m := connect(t)
	certs := t.TempDir()
	authority(t, certs)
	far := exec.Command(within(t, m.server, built.goExamples), "--listen", "tcp://"+serverIP+":9000", "--listen-data", "tcp://"+serverIP+":9001",
		"--tls-cert", filepath.Join(certs, "server.pem"), "--tls-key", filepath.Join(certs, "server.key"), "--tls-client-ca", filepath.Join(certs, "ca.pem"))
	far.Env = environment(built.temp)
	far.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said strings.Builder
	far.Stderr = &said
	if err := far.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = far.Process.Kill()
		_ = far.Wait()
		if t.Failed() {
			t.Logf("the plugin server wrote:\n%s", said.String())
		}
	})
	mutual := func(ca string) map[string]string {
		return map[string]string{
			"cert": filepath.Join(certs, "gateway.pem"), "key": filepath.Join(certs, "gateway.key"), "ca": ca, "server_name": "server.example",
		}
	}
	up := func(carrier string, port int, ca string) launch {
		return launch{
			binary: within(t, m.gateway, built.host), late: true,
			settings: settings{
				"proxy_listen": fmt.Sprintf("127.0.0.1:%d", port), "echo_listen": fmt.Sprintf("127.0.0.1:%d", port+1),
				"plugin_servers": []server{{
					"name": "far", "address": "tcp://" + serverIP + ":9000", "carrier": carrier, "tls": mutual(ca),
					"start_timeout": "3s", "timeout": "500ms", "health_interval": "500ms",
				}},
			},
			entities: routes(fmt.Sprintf("http://127.0.0.1:%d", port+1),
				route("/closed", "{name: hello-go, config: {greeting: hi}}"),
				route("/open", "{name: hello-go, config: {greeting: hi}, fail_mode: open}")),
		}
	}
	for i, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			g := up(carrier, 8000+10*i, filepath.Join(certs, "ca.pem")).start(t)
			g.client.Transport = &http.Transport{DialContext: dialOn(m.gateway)}
			answered := func(path string, status int, greeted bool) func() (bool, string) {
				return func() (bool, string) {
					a := g.get(t, path)
					return a.status == status && (a.header.Get("X-Hello-Go") != "") == greeted, a.String()
				}
			}
			eventually(t, startPatience, "the plugin to run", answered("/closed", 200, true))
			pid := far.Process.Pid

			m.plug(t, "down")
			for range 3 { // in flight when it was cut, and later ones
				begin := time.Now()
				a, b := g.get(t, "/closed"), g.get(t, "/open")
				if a.status != 500 || b.status != 200 || b.header.Get("X-Hello-Go") != "" {
					t.Errorf("without the other machine: closed %v, open %v", a, b)
				}
				// Twice the timeout of half a second, with much room for a busy machine: what counts is that nobody waits for the network.
				if took := time.Since(begin); took > patience/2 {
					t.Errorf("two requests took %v", took)
				}
			}
			g.log.waitFields(t, 0, "msg", "plugin server is down")

			m.plug(t, "up")
			eventually(t, startPatience, "the plugin to run again", answered("/closed", 200, true))
			eventually(t, patience, "the plugin to run again where it fails open", answered("/open", 200, true))
			if err := syscall.Kill(pid, 0); err != nil || far.ProcessState != nil {
				t.Errorf("the plugin server has ended: %v", err)
			}
		})
	}
	t.Run("an authority that the gateway does not know", func(t *testing.T) {
		other := t.TempDir()
		authority(t, other)
		ca := filepath.Join(other, "ca.pem")
		g := up("msgpack", 8100, ca).start(t)
		g.log.wait(t, 0, "the reason", func(l line) bool {
			why := l.text("error")
			return l.has("msg", "plugin server is down") && strings.Contains(why, "signed by no authority in "+ca) && strings.Contains(why, "tcp://"+serverIP+":9000")
		})
		g.client.Transport = &http.Transport{DialContext: dialOn(m.gateway)}
		g.get(t, "/closed").want(t, 503)
	})
}
