package pluginserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
)

// certificate makes a self-signed one that is its own authority, for both sides.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"plugins.example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// Attached over TCP both planes use mutual TLS, on both carriers.
func TestAttachedOverTLS(t *testing.T) {
	cert, pool := certificate(t)
	serverSide := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, NextProtos: []string{"h2"}}
	dataSide := serverSide.Clone()
	dataSide.NextProtos = nil
	data, err := tls.Listen("tcp", "127.0.0.1:0", dataSide)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{orders: map[string]string{}, instances: map[uint64]string{}, token: []byte("t"), data: data}
	go f.acceptLanes()
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(serverSide)))
	pluginv1.RegisterPluginServerServer(server, f)
	go func() { _ = server.Serve(control) }()
	defer server.Stop()

	carriers(t, func(t *testing.T, carrier string) {
		w := newWorld(t)
		w.mustStart(Config{
			Name: "a", Address: "tcp://" + control.Addr().String(), Carrier: carrier,
			TLS: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool},
		})
		w.mustConfigure("a", 1)
		if pid, config, err := w.call("a", 1, "/"); err != nil || pid != os.Getpid() || config != configOf(1) {
			t.Errorf("pid %d, configuration %q, %v", pid, config, err)
		}
	})
	for name, c := range map[string]struct {
		conf *tls.Config
		want string
	}{
		"no certificate": {&tls.Config{RootCAs: pool}, "TLS or HTTP/2 handshake fails"},
		"plain":          {nil, "does not speak gRPC without TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			err := w.start(Config{Name: "a", Address: "tcp://" + control.Addr().String(), StartTimeout: time.Second, TLS: c.conf})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}
