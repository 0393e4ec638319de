package upstream

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issue makes a certificate, signed by a; a nil one signs itself.
func (a *authority) issue(t *testing.T, name string, ca bool) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ca {
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key}
}

func (a *authority) pair(chain ...*authority) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{a.certificate.Raw}, PrivateKey: a.key}
	for _, above := range chain {
		c.Certificate = append(c.Certificate, above.certificate.Raw)
	}
	return c
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.certificate)
	return p
}

// The upstream's certificate is signed by an intermediate one, and the upstream answers with the name on the client's.
func TestTLSOptions(t *testing.T) {
	root := (*authority)(nil).issue(t, "root", true)
	middle := root.issue(t, "middle", true)
	leaf := middle.issue(t, "leaf", false)
	stranger := (*authority)(nil).issue(t, "stranger", true)
	own := root.issue(t, "gateway", false)
	ownPair := own.pair()

	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, name)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{leaf.pair(middle)}, ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	address := server.Listener.Addr().(*net.TCPAddr)

	tr := transport(t, Options{})
	rootPool, strangerPool := root.pool(), stranger.pool()
	for _, c := range []struct {
		name   string
		change Target
		body   string // "": refused
		why    string
	}{
		{"not verified", Target{}, "nobody", ""},
		{"the system's authorities", Target{TLSVerify: true}, "", "unknown authority"},
		{"trusted", Target{TLSVerify: true, Roots: rootPool}, "nobody", ""},
		{"another authority", Target{TLSVerify: true, Roots: strangerPool}, "", "unknown authority"},
		{"one between", Target{TLSVerify: true, Roots: rootPool, TLSChain: 3}, "nobody", ""},
		{"none may be between", Target{TLSVerify: true, Roots: rootPool, TLSChain: 2}, "", "1 certificates stand between the upstream's and a trusted one; at most 0"},
		{"the depth of what is not verified", Target{TLSChain: 2}, "nobody", ""},
		{"another name", Target{TLSVerify: true, Roots: rootPool, ServerName: "shop.example"}, "", "shop.example"},
		{"another name that nobody checks", Target{ServerName: "shop.example"}, "nobody", ""},
		{"own certificate", Target{Certificate: &ownPair}, "gateway", ""},
		{"own certificate no more", Target{}, "nobody", ""},
	} {
		to := c.change
		to.TLS, to.Host, to.Port = true, "127.0.0.1", address.Port
		to.ConnectTimeout, to.ReadTimeout, to.WriteTimeout = patience, patience, patience
		_, body, err := try(tr, &to, "GET", nil, 0)
		switch {
		case c.body != "" && (err != nil || body != c.body):
			t.Errorf("%s: %q, %v", c.name, body, err)
		case c.body == "" && (kind(err) != "connect" || !strings.Contains(err.Error(), c.why)):
			t.Errorf("%s: %q, %v", c.name, body, err)
		}
	}
}

// The peer has closed a kept connection: a request that may be sent only once is not lost under TLS either.
func TestStaleTLSConnections(t *testing.T) {
	pair := (*authority)(nil).issue(t, "upstream", true).pair()
	closed := make(chan struct{}, 1)
	p := newPeer(t, func(n int, c net.Conn, _ *bufio.Reader) {
		secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})
		answers(ok)(n, secure, bufio.NewReader(secure))
		secure.Close()
		closed <- struct{}{}
	})
	tr := transport(t, Options{})
	to := p.target()
	to.TLS, to.ConnectTimeout, to.ReadTimeout, to.WriteTimeout = true, patience, patience, patience
	for i := range 3 {
		if status, _, err := try(tr, to, "POST", iotestOnce("stream"), 0); status != 200 {
			t.Errorf("request %d: %v", i, err)
		}
		<-closed
		waitClosed(t, tr)
	}
	// One that the peer keeps is used again.
	kept := newPeer(t, func(n int, c net.Conn, _ *bufio.Reader) {
		secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})
		answers(ok, ok, ok)(n, secure, bufio.NewReader(secure))
	})
	to.Port = kept.target().Port
	for i := range 3 {
		if status, _, err := try(tr, to, "POST", iotestOnce("stream"), 0); status != 200 {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if n := kept.conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// What comes behind a response in the same records is decrypted with it, and never taken for the response to the next request.
func TestSurplusUnderTLS(t *testing.T) {
	root := (*authority)(nil).issue(t, "root", true)
	leaf := root.issue(t, "leaf", false)
	config := &tls.Config{Certificates: []tls.Certificate{leaf.pair()}}
	for _, size := range []int{2, 20_000, 100_000} {
		p := newPeer(t, func(n int, c net.Conn, _ *bufio.Reader) {
			secure := tls.Server(c, config)
			br := bufio.NewReader(secure)
			for i := 0; ; i++ {
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				body := strings.Repeat(strconv.Itoa(n), size)
				text := "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n" + body
				if i == 0 {
					text += "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"
				}
				if _, err := io.WriteString(secure, text); err != nil {
					return
				}
			}
		})
		tr := transport(t, Options{})
		to := p.target()
		to.TLS, to.TLSVerify, to.Roots = true, true, root.pool()
		for n := 1; n <= 3; n++ {
			if _, body, err := try(tr, to, "GET", nil, 0); err != nil || body != strings.Repeat(strconv.Itoa(n), size) {
				t.Errorf("%d bytes, request %d: %.20q %v", size, n, body, err)
			}
		}
	}
}
