//go:build !race

package plugins

import (
	"net/http"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
	"github.com/outrigger-gateway/outrigger/pdk/schema"
)

// probe calls a handler again and again within one call, and counts what each of them allocates.
type probe struct {
	access, headerFilter func(*pdk.PDK) error
	allocations          *float64
}

func (p *probe) Access(k *pdk.PDK) error       { return p.measure(k, p.access) }
func (p *probe) HeaderFilter(k *pdk.PDK) error { return p.measure(k, p.headerFilter) }

func (p *probe) measure(k *pdk.PDK, handler func(*pdk.PDK) error) error {
	if handler == nil {
		return nil
	}
	var err error
	*p.allocations += testing.AllocsPerRun(100, func() {
		if err == nil {
			err = handler(k)
		}
	})
	return err
}

// allocations is how often the handlers of a plugin allocate for a request.
func allocations(t *testing.T, p pdk.Plugin, config string, req pdktest.Request) float64 {
	t.Helper()
	instance := p.New()
	if err := schema.Decode(instance, []byte(config)); err != nil {
		t.Fatal(err)
	}
	h, err := pdk.HandlersOf(instance)
	if err != nil {
		t.Fatal(err)
	}
	if h.Configure != nil {
		if err := h.Configure(); err != nil {
			t.Fatal(err)
		}
	}
	return measured(t, h, req)
}

func measured(t *testing.T, h pdk.Handlers, req pdktest.Request) float64 {
	t.Helper()
	n := 0.0
	x := pdktest.New(req)
	prober := pdk.Plugin{Name: "probe", Version: "1", New: func() any { return &probe{access: h.Access, headerFilter: h.HeaderFilter, allocations: &n} }}
	if err := x.Use(prober, ""); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	if res.Upstream == nil || len(res.Failures) != 0 {
		t.Fatalf("the request did not pass: %d %s %v", res.Response.Status, res.Response.Body, res.Failures)
	}
	return n
}

// A request that passes costs these plugins nothing.
func TestNothingAllocated(t *testing.T) {
	byName := map[string]pdk.Plugin{}
	for _, p := range All() {
		byName[p.Name] = p
	}
	request := func(method string, lines ...string) pdktest.Request {
		h := http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}, "Accept": {"*/*"}, "X-Request-Kind": {"x"}}
		for i := 0; i < len(lines); i += 2 {
			h.Set(lines[i], lines[i+1])
		}
		return pdktest.Request{Method: method, Header: h, URL: "http://gw.test/?a=1&b=2"}
	}
	for _, c := range []struct {
		plugin, config string
		req            pdktest.Request
	}{
		{"ip-restriction", `{"allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": ["10.0.0.10", "192.0.2.0/24"]}`, request("GET")},
		{"request-size-limiting", `{}`, request("POST", "Content-Length", "100")},
		{"request-size-limiting", `{}`, request("GET")},
		{"request-termination", `{"trigger": "X-Stop", "echo": true}`, request("GET")},
		{"cors", `{}`, request("GET", "Origin", "https://a.test")},
		{"cors", `{"origins": ["https://b.test", "https://a.test"], "credentials": true, "exposed_headers": ["X-A"]}`, request("GET", "Origin", "https://a.test:443")},
		{"cors", `{"origins": [".*\\.b\\.test", "https://.*\\.a\\.test"]}`, request("POST", "Origin", "https://x.a.test")},
		{"cors", `{"origins": ["https://b.test", "https://c.test"]}`, request("OPTIONS", "Origin", "https://a.test")},
		{"bot-detection", `{"deny": ["^curl"]}`, pdktest.Request{}},
	} {
		p, has := byName[c.plugin]
		if !has {
			t.Fatalf("there is no plugin %s", c.plugin)
		}
		if n := allocations(t, p, c.config, c.req); n != 0 {
			t.Errorf("%s %s: %v allocations", c.plugin, c.config, n)
		}
	}

	// bot-detection looks for a second User-Agent, and pays for the list of the headers; nothing else.
	req := request("GET")
	list := measured(t, pdk.Handlers{Access: func(k *pdk.PDK) error {
		_, err := k.Request.GetHeaders(1000)
		return err
	}}, req)
	if n := allocations(t, byName["bot-detection"], `{"allow": ["^curl/"], "deny": ["(?i)wget"]}`, req); n > list {
		t.Errorf("bot-detection: %v allocations, the list of headers alone has %v", n, list)
	}
}
