package pluginserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
)

// certificate makes a self-signed one that is its own authority, for both sides.
func certificate(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: append(names, "plugins.example"),
	}
	if len(names) == 0 {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func poolOf(t *testing.T, c tls.Certificate) *x509.CertPool {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return pool
}

// putFile puts a whole file into its place, as who renews a certificate does.
func putFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// putTLS writes the files of a host that shows a certificate and trusts another one.
func putTLS(t *testing.T, dir string, own, trusted tls.Certificate) *TLS {
	t.Helper()
	files := &TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	putFile(t, files.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}))
	putFile(t, files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	putFile(t, files.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted.Certificate[0]}))
	return files
}

// secured is a fake server with mutual TLS on both planes, in this process.
type secured struct {
	control net.Listener
	server  *grpc.Server
}

// secure starts one that shows a certificate and trusts another one. The test's end stops it.
func secure(t *testing.T, own, trusted tls.Certificate) *secured {
	t.Helper()
	return secureAt(t, "127.0.0.1:0", own, trusted)
}

// secureAt starts one at an address, where another one may just end.
func secureAt(t *testing.T, address string, own, trusted tls.Certificate) *secured {
	t.Helper()
	conf := &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: poolOf(t, trusted)}
	data, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	s := &secured{server: grpc.NewServer(grpc.Creds(credentials.NewTLS(conf)))}
	eventually(t, "the address is free", func() bool {
		s.control, err = net.Listen("tcp", address)
		return err == nil
	})
	f := &fake{orders: map[string]string{}, instances: map[uint64]string{}, token: []byte("t"), data: data}
	go f.acceptLanes()
	pluginv1.RegisterPluginServerServer(s.server, f)
	go func() { _ = s.server.Serve(s.control) }()
	t.Cleanup(func() { s.server.Stop(); data.Close() })
	return s
}

func (s *secured) address() []string { return []string{"tcp://" + s.control.Addr().String()} }

// Attached over TCP both planes use mutual TLS, on both carriers.
func TestAttachedOverTLS(t *testing.T) {
	own, other := certificate(t), certificate(t)
	server := secure(t, own, own)
	good := putTLS(t, t.TempDir(), own, own)
	carriers(t, func(t *testing.T, carrier string) {
		w := newWorld(t)
		w.mustStart(Config{Name: "a", Addresses: server.address(), Carrier: carrier, TLS: good})
		w.mustConfigure("a", 1)
		if pid, config, err := w.call("a", 1, "/"); err != nil || pid != os.Getpid() || config != configOf(1) {
			t.Errorf("pid %d, configuration %q, %v", pid, config, err)
		}
	})
	elsewhere := certificate(t, "other.example")
	named := secure(t, elsewhere, own)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		for {
			conn, err := plain.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("220 no TLS here\r\n"))
			conn.Close()
		}
	}()
	strange := putTLS(t, t.TempDir(), other, own)
	doubting := putTLS(t, t.TempDir(), own, other)
	misnamed := *good
	misnamed.ServerName = "elsewhere.example"
	for name, c := range map[string]struct {
		addresses []string
		conf      *TLS
		want      []string
	}{
		"a certificate that the server does not trust": {server.address(), strange, []string{"the server refuses this host's certificate " + strange.Cert, "sign it by an authority that the server trusts"}},
		"a server of another authority":                {server.address(), doubting, []string{"signed by no authority in " + doubting.CA, "tls.ca"}},
		"another name":                                 {server.address(), &misnamed, []string{`its certificate is not for "elsewhere.example"`, "tls.server_name"}},
		"a certificate for another machine":            {named.address(), putTLS(t, t.TempDir(), own, elsewhere), []string{`its certificate is not for "127.0.0.1"`}},
		"no TLS there":                                 {[]string{"tcp://" + plain.Addr().String()}, good, []string{"does not speak TLS"}},
		"no TLS here":                                  {server.address(), nil, []string{"does not speak gRPC without TLS"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			err := w.start(Config{Name: "a", Addresses: c.addresses, StartTimeout: 2 * time.Second, TLS: c.conf})
			if err == nil {
				t.Fatal("it is ready")
			}
			eventually(t, "the reason", func() bool {
				for _, part := range append(c.want, c.addresses[0]) {
					if !strings.Contains(w.Server("a").State().Reason, part) {
						return false
					}
				}
				return true
			})
		})
	}
	w := newWorld(t)
	missing := *good
	missing.Key = "/no/such/key.pem"
	if err := w.start(Config{Name: "a", Addresses: server.address(), TLS: &missing}); err == nil || !strings.Contains(err.Error(), "/no/such/key.pem") || w.Servers != nil {
		t.Errorf("a key that is not there: %v", err)
	}
}

// The host's certificate and the authorities that it trusts are renewed in their files: the next connection uses them, and half a renewal
// changes nothing.
func TestTLSFilesAreReloaded(t *testing.T) {
	first, second := certificate(t), certificate(t)
	dir := t.TempDir()
	files := putTLS(t, dir, first, first)
	w := newWorld(t)
	w.opts.HealthInterval, w.opts.HealthTime = 50*time.Millisecond, time.Second // three failures before the server is down
	old := secure(t, first, first)
	address := old.control.Addr().String()
	w.mustStart(Config{Name: "a", Addresses: old.address(), StartTimeout: 4 * time.Second, TLS: files})
	w.mustConfigure("a", 1)
	w.answers("a", 1)

	putFile(t, files.Key, []byte("half of a renewal"))
	old.server.Stop()
	eventually(t, "down", func() bool { return !w.ready("a") })
	again := secureAt(t, address, first, first)
	eventually(t, "back with what was loaded before", func() bool { return w.ready("a") })
	eventually(t, "a line about it", func() bool {
		return w.log.has("the certificates for the plugin server have changed but cannot be used: the ones before stay in use")
	})
	w.answers("a", 1)

	again.server.Stop()
	eventually(t, "down", func() bool { return !w.ready("a") })
	secureAt(t, address, second, second)
	eventually(t, "another authority is refused", func() bool {
		return strings.Contains(w.Server("a").State().Reason, "signed by no authority")
	})
	putTLS(t, dir, second, second)
	eventually(t, "ready with the renewed files", func() bool { return w.ready("a") })
	w.answers("a", 1)
}
