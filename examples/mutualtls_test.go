package examples

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tlsServer is a plugin server of the examples that speaks TLS on both planes, with the certificates in its directory.
type tlsServer struct {
	*attached
	lang, certs   string
	control, data string // host:port
	told          string // file with what it writes
}

func startTLS(t *testing.T, lang string) *tlsServer {
	t.Helper()
	s := &tlsServer{lang: lang, certs: t.TempDir(), control: fmt.Sprintf("127.0.0.1:%d", freePort(t)), data: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	authority(t, s.certs)
	s.told = filepath.Join(t.TempDir(), "told")
	command := append(serverCommand(lang, built.goExamples, filepath.Join(built.repo, "examples", lang)),
		"--listen", "tcp://"+s.control, "--listen-data", "tcp://"+s.data,
		"--tls-cert", filepath.Join(s.certs, "server.pem"), "--tls-key", filepath.Join(s.certs, "server.key"), "--tls-client-ca", filepath.Join(s.certs, "ca.pem"))
	s.attached = attachCommand(t, lang, "tcp://"+s.control, append([]string{"/bin/sh", "-c", `exec "$@" 2>"$0"`, s.told}, command...))
	return s
}

// gateway starts a gateway that shows the certificate of a name of a directory.
func (s *tlsServer) gateway(t *testing.T, carrier, certs, name string) *gateway {
	t.Helper()
	return launch{
		late: true,
		settings: settings{"plugin_servers": []server{{
			"name": "far", "address": "tcp://" + s.control, "carrier": carrier, "start_timeout": "5s", "timeout": "30s",
			"tls": map[string]string{
				"cert": filepath.Join(certs, name+".pem"), "key": filepath.Join(certs, name+".key"), "ca": filepath.Join(certs, "ca.pem"), "server_name": "server.example",
			},
		}}},
		entities: routes(echoUpstream(t).URL, route("/", "{name: hello-"+s.lang+", config: {greeting: hi}}")),
	}.start(t)
}

func (s *tlsServer) wantServed(t *testing.T, g *gateway) {
	t.Helper()
	header := "X-Hello-" + strings.ToUpper(s.lang[:1]) + s.lang[1:]
	eventually(t, 2*patience, "the plugin to run", func() (bool, string) {
		a := g.get(t, "/")
		return a.status == 200 && a.header.Get(header) != "", a.String()
	})
}

// greeted connects as a gateway with these certificates would, and reports whether the server of a plane took it. A server of the control plane says
// something at once, one of the data plane waits for the greeting, which is longer than a refusal takes.
func greeted(t *testing.T, address, certs string, mine ...tls.Certificate) bool {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(certs, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	raw, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(patience))
	conn := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "server.example", Certificates: mine, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13})
	if err := conn.Handshake(); err != nil {
		t.Logf("%s: %v", address, err)
		return false
	}
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		return false
	}
	n, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("%s: neither taken nor refused", address)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		t.Logf("%s: %v", address, err)
	}
	return n > 0
}

// copyFiles copies the certificates of one directory into another, as a renewal does: each file at once, one after the other.
func copyFiles(t *testing.T, to, from string) {
	t.Helper()
	for _, name := range []string{"ca.pem", "server.key", "server.pem", "gateway.key", "gateway.pem", "expired.key", "expired.pem"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		fresh := filepath.Join(to, name+".new")
		write(t, fresh, string(text))
		if err := os.Rename(fresh, filepath.Join(to, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func pairOf(t *testing.T, dir, name string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// A plugin server with mutual TLS in each language, on both planes: who shows no certificate, an expired one, or one of another authority gets no
// word out of it. Renewed files are used from the next connection on; files that cannot be used change nothing.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := startTLS(t, l.name)
			old := t.TempDir() // the gateway's own copies
			copyFiles(t, old, s.certs)
			first := s.gateway(t, "msgpack", old, "gateway")
			s.wantServed(t, first)
			s.wantServed(t, s.gateway(t, "grpc", old, "gateway"))

			other := t.TempDir()
			authority(t, other)
			valid, expired, foreign := pairOf(t, old, "gateway"), pairOf(t, old, "expired"), pairOf(t, other, "gateway")
			if !greeted(t, s.control, old, valid) {
				t.Error("a gateway with a valid certificate is refused")
			}
			for name, mine := range map[string][]tls.Certificate{"no certificate": nil, "an expired one": {expired}, "one of another authority": {foreign}} {
				for _, address := range []string{s.control, s.data} {
					if greeted(t, address, old, mine...) {
						t.Errorf("%s: somebody with %s is taken", address, name)
					}
				}
			}
			refused := s.gateway(t, "msgpack", old, "expired")
			refused.get(t, "/").want(t, 503)

			write(t, filepath.Join(s.certs, "server.pem"), "half of a renewal")
			if !greeted(t, s.control, old, valid) {
				t.Error("without a certificate that can be used the one before is not used")
			}
			eventually(t, patience, "the log to say that the files cannot be used", func() (bool, string) {
				told, _ := os.ReadFile(s.told)
				return strings.Contains(string(told), "cannot be used"), string(told)
			})
			copyFiles(t, s.certs, other)
			s.wantServed(t, s.gateway(t, "msgpack", other, "gateway"))
			if greeted(t, s.control, other, valid) || greeted(t, s.data, other, valid) {
				t.Error("an authority that is not in the file any more still counts")
			}
			s.wantServed(t, first) // it is connected already
		})
	}
}

// Off loopback there is no plugin server without TLS.
func TestNoListenerForOthersWithoutTLS(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			for _, flags := range [][]string{
				{"--listen", "tcp://0.0.0.0:0"}, {"--listen", "tcp://127.0.0.1:0", "--listen-data", "tcp://[::]:0"},
				{"--listen", "tcp://127.0.0.1:0", "--tls-cert", "only.pem"},
			} {
				command := append(serverCommand(l.name, built.goExamples, filepath.Join(built.repo, "examples", l.name)), flags...)
				a := attachCommand(t, l.name, flags[1], command)
				select {
				case <-a.ended:
				case <-time.After(2 * patience):
					t.Fatalf("%v: the plugin server serves", flags)
				}
				if code := a.cmd.ProcessState.ExitCode(); code != 1 {
					t.Errorf("%v: it ended with code %d, expected 1", flags, code)
				}
				expected := "can be reached from other machines: expected a loopback address, or --tls-cert, --tls-key and --tls-client-ca"
				if len(flags) > 2 && flags[2] == "--tls-cert" {
					expected = "--tls-cert, --tls-key and --tls-client-ca belong together"
				}
				if said := a.out.String(); !strings.Contains(said, expected) {
					t.Errorf("%v: it says %q", flags, said)
				}
			}
		})
	}
}
