package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/certs"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plugincache"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// withGateway lets plugins ask about the gateway.
func withGateway(o *Options) {
	o.Gateway = &exchange.Gateway{Hostname: "gw", Cache: plugincache.New(1 << 20), Certificates: certs.NewStore()}
}

// named is an upstream that says its name and the Host it was asked for.
func named(t *testing.T, name string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s as %s", name, r.Host)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// refused is an address on which nobody listens.
func refused(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// dead is an address that takes connections and resets them; tries counts these.
func dead(t *testing.T, tries *atomic.Int32) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			tries.Add(1)
			buf := make([]byte, 1)
			_, _ = c.Read(buf)
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	return ln.Addr().String()
}

func split(t *testing.T, address string) (string, int) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return host, n
}

// directed is a gateway whose plugin says where the request goes.
func directed(t *testing.T, config string, say func(k *pdk.PDK) error) *gateway {
	t.Helper()
	return start(t, echo, config+"plugins: [{name: d}]\n", []pdk.Plugin{plugin("d", 1, &access{say})}, withGateway)
}

func TestSetTarget(t *testing.T) {
	other := named(t, "other")
	host, port := split(t, other)
	mode := ""
	g := directed(t, plain, func(k *pdk.PDK) error {
		if mode == "own host" {
			if err := k.ServiceRequest.SetHeader("Host", "set.example"); err != nil {
				return err
			}
		}
		return k.Service.SetTarget(host, port)
	})
	g.get("/api").want(t, 200, "other as "+other)
	g.get("/keep", "Host", "client.example").want(t, 200, "other as client.example")
	mode = "own host"
	g.get("/api").want(t, 200, "other as set.example")
	g.get("/keep", "Host", "client.example").want(t, 200, "other as set.example")
}

// Nobody listens at the target: a bad gateway, with the target in the log.
func TestSetTargetThatIsNotThere(t *testing.T) {
	host, port := split(t, refused(t))
	g := directed(t, plain, func(k *pdk.PDK) error { return k.Service.SetTarget(host, port) })
	g.get("/api").want(t, 502, "An invalid response was received from the upstream server")
	eventually(t, "the target in the log", func() bool { return strings.Contains(g.logs.String(), "port="+strconv.Itoa(port)) })
}

func TestSetRetries(t *testing.T) {
	var tries atomic.Int32
	host, port := split(t, dead(t, &tries))
	retries := 0
	g := directed(t, plain, func(k *pdk.PDK) error {
		if err := k.Service.SetRetries(retries); err != nil {
			return err
		}
		return k.Service.SetTarget(host, port)
	})
	for _, retries = range []int{0, 3} {
		tries.Store(0)
		g.get("/api").want(t, 502, "")
		if n := tries.Load(); int(n) != retries+1 {
			t.Errorf("%d retries: %d tries", retries, n)
		}
	}
}

func TestSetTimeouts(t *testing.T) {
	hang := make(chan struct{})
	up := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-hang
	})
	short := true
	g := start(t, up, plain+"plugins: [{name: d}]\n", []pdk.Plugin{plugin("d", 1, &access{func(k *pdk.PDK) error {
		if short {
			return k.Service.SetTimeouts(20000, 20000, 50)
		}
		return nil
	}})})
	defer close(hang)
	g.do("POST", "/api", strings.NewReader("x")).want(t, 504, "The upstream server is timing out")
}

func TestFallbackTargets(t *testing.T) {
	gone, good := refused(t), named(t, "good")
	host, port := split(t, gone)
	var fallbacks []string
	retries := 5
	g := directed(t, plain, func(k *pdk.PDK) error {
		if err := k.Service.SetFallbackTargets(fallbacks); err != nil {
			return err
		}
		if err := k.Service.SetRetries(retries); err != nil {
			return err
		}
		return k.Service.SetTarget(host, port)
	})
	fallbacks = []string{gone, good}
	g.get("/api").want(t, 200, "good as "+good)
	g.get("/keep", "Host", "client.example").want(t, 200, "good as client.example")
	retries = 1
	g.get("/api").want(t, 502, "")
	fallbacks = nil
	retries = 5
	g.get("/api").want(t, 502, "")
}

// A name that does not resolve is a connection that failed: the next try goes to a fallback or to another target of the upstream.
func TestRetriesAfterANameThatDoesNotResolve(t *testing.T) {
	good := named(t, "good")
	retries, upstream := 1, false
	text := strings.ReplaceAll(plain, "services:", `upstreams:
- {name: mixed, targets: [{target: "no-such-host.invalid:80", weight: 1000}, {target: "`+good+`", weight: 1}]}
services:`)
	g := directed(t, text, func(k *pdk.PDK) error {
		if err := k.Service.SetRetries(retries); err != nil || upstream {
			return errors.Join(err, k.Service.SetUpstream("mixed"))
		}
		return errors.Join(k.Service.SetTarget("no-such-host.invalid", 80), k.Service.SetFallbackTargets([]string{good}))
	})
	g.get("/api").want(t, 200, "good as "+good)
	g.do("POST", "/api", strings.NewReader("x")).want(t, 200, "good as "+good)
	retries = 0
	g.get("/api").want(t, 503, "name resolution failed")
	retries, upstream = 1, true
	g.get("/api").want(t, 200, "good as "+good)
}

const pool = `
_format_version: "3.0"
services:
- {name: pooled, host: pool, port: 9, retries: 3, routes: [{name: pooled, paths: [/pooled]}]}
- {name: empty, host: none, routes: [{name: empty, paths: [/empty]}]}
- {name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/api]}]}
upstreams:
- {name: pool, targets: [{target: "A", weight: 3}, {target: "B", weight: 1}, {target: "GONE", weight: 0}]}
- {name: none}
- {name: broken, targets: [{target: "GONE", weight: 100}, {target: "A", weight: 1}]}
- {name: hosted, host_header: hosted.example, targets: [{target: "A"}]}
`

// A service whose host is the name of an upstream is balanced over its targets by weight; a plugin may choose another upstream.
func TestUpstreams(t *testing.T) {
	a, b, gone := named(t, "a"), named(t, "b"), refused(t)
	text := strings.NewReplacer(`"A"`, strconv.Quote(a), `"B"`, strconv.Quote(b), `"GONE"`, strconv.Quote(gone)).Replace(pool)
	choice := ""
	var failure atomic.Pointer[string]
	g := directed(t, text, func(k *pdk.PDK) error {
		if choice == "" {
			return nil
		}
		if err := k.Service.SetUpstream(choice); err != nil {
			s := err.Error()
			failure.Store(&s)
		}
		return nil
	})
	got := map[string]int{}
	for range 8 {
		r := g.get("/pooled")
		r.want(t, 200, "")
		got[r.body]++
	}
	if got["a as "+a] != 6 || got["b as "+b] != 2 {
		t.Errorf("answers %v", got)
	}
	g.get("/empty").want(t, 503, "failure to get a peer from the ring-balancer")

	choice = "hosted"
	g.get("/api").want(t, 200, "a as hosted.example")
	choice = "broken" // the target that is not there has most of the weight: the next try goes to the other one
	for range 4 {
		g.get("/pooled").want(t, 200, "a as "+a)
	}
	choice = "none"
	g.get("/api").want(t, 503, "failure to get a peer")
	choice = "nonsense"
	g.get("/api").want(t, 200, "GET /")
	if f := failure.Load(); f == nil || !strings.Contains(*f, "bad_data") || !strings.Contains(*f, `"nonsense"`) {
		t.Errorf("an unknown upstream: %v", f)
	}
}

// The certificate of an https upstream is verified as a plugin says, against what it trusts, and sees the certificate that it gives.
func TestTLSToTheUpstream(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%d certificates", len(r.TLS.PeerCertificates))
	}))
	var name atomic.Value // what the upstream was asked for
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name.Store(h.ServerName)
		return nil, nil
	}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	pair := server.TLS.Certificates[0]
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	certificate := encode("CERTIFICATE", pair.Certificate[0])
	key := encode("PRIVATE KEY", pkcs8(t, pair.PrivateKey))

	var say func(k *pdk.PDK) error
	text := strings.ReplaceAll(plain, "http://UPSTREAM/base", "https://"+server.Listener.Addr().String()+"/base")
	g := directed(t, text, func(k *pdk.PDK) error { return say(k) })
	for _, c := range []struct {
		name   string
		say    func(k *pdk.PDK) error
		status int
		body   string
	}{
		{"as the service says", func(*pdk.PDK) error { return nil }, 200, "0 certificates"},
		{"verified against the system's", func(k *pdk.PDK) error { return k.Service.SetTLSVerify(true) }, 502, ""},
		{"verified against a store", func(k *pdk.PDK) error {
			return errors.Join(k.Service.SetTLSVerify(true), k.Service.SetTLSVerifyStore(certificate), k.Service.SetTLSVerifyDepth(0))
		}, 200, "0 certificates"},
		{"not verified, whatever the store", func(k *pdk.PDK) error {
			return errors.Join(k.Service.SetTLSVerify(false), k.Service.SetTLSVerifyStore(certificate))
		}, 200, "0 certificates"},
		{"own certificate", func(k *pdk.PDK) error { return k.Service.SetTLSCertKey(certificate, key) }, 200, "1 certificates"},
		{"a pair that does not fit", func(k *pdk.PDK) error { return k.Service.SetTLSCertKey(certificate, certificate) }, 500, "An unexpected error occurred"},
		{"as the service says again", func(*pdk.PDK) error { return nil }, 200, "0 certificates"},
	} {
		say = c.say
		if r := g.get("/api"); r.StatusCode != c.status || !strings.Contains(r.body, c.body) {
			t.Errorf("%s: %d %q", c.name, r.StatusCode, r.body)
		}
	}
	say = func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("Host", "shop.example:8443") }
	g.get("/api").want(t, 200, "")
	if got := name.Load(); got != "shop.example" {
		t.Errorf("the upstream was asked for the certificate of %q", got)
	}
	if strings.Contains(g.logs.String(), "BEGIN") {
		t.Error("a certificate or key is in the log")
	}
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Every try of a request is in its log entry.
func TestTriesAreLogged(t *testing.T) {
	gone, good := refused(t), named(t, "good")
	host, port := split(t, gone)
	entries := make(chan string, 1)
	g := start(t, echo, plain+"plugins: [{name: d}, {name: l}]\n", []pdk.Plugin{
		plugin("d", 2, &access{func(k *pdk.PDK) error {
			return errors.Join(k.Service.SetTarget(host, port), k.Service.SetFallbackTargets([]string{good}))
		}}),
		plugin("l", 1, &logger{func(k *pdk.PDK) error {
			text, err := k.Log.Serialize()
			entries <- text
			return err
		}}),
	}, withGateway)
	g.get("/api/x?q=1").want(t, 200, "good")
	var entry struct {
		UpstreamURI string `json:"upstream_uri"`
		Tries       []struct {
			IP    string
			Port  int
			State string
			Start int64 `json:"balancer_start"`
		}
	}
	if err := json.Unmarshal([]byte(<-entries), &entry); err != nil {
		t.Fatal(err)
	}
	goodHost, goodPort := split(t, good)
	if len(entry.Tries) != 2 || entry.Tries[0].Port != port || entry.Tries[0].State != "failed" || entry.Tries[1].IP != goodHost ||
		entry.Tries[1].Port != goodPort || entry.Tries[1].State != "" || entry.Tries[1].Start == 0 || entry.UpstreamURI != "/base/x?q=1" {
		t.Errorf("entry %+v", entry)
	}
}
