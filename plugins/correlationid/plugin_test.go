package correlationid

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

const uuidPattern = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`

func run(t *testing.T, config string, req pdktest.Request, others ...pdk.Plugin) pdktest.Result {
	t.Helper()
	x := pdktest.New(req)
	for _, p := range others {
		if err := x.Use(p, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	for _, f := range res.Failures {
		t.Errorf("%s failed in %s: %+v", f.Plugin, f.Phase, f.Err)
	}
	return res
}

func TestGenerators(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{"", `^` + uuidPattern + `#1$`},
		{`{"generator": "uuid#counter"}`, `^` + uuidPattern + `#1$`},
		{`{"generator": "uuid"}`, `^` + uuidPattern + `$`},
		{`{"generator": "tracker"}`, `^[0-9a-f.:]+-8000-\d+-40000-1-\d+\.\d{3}$`},
	} {
		res := run(t, c.config, pdktest.Request{})
		if got := res.Upstream.Header.Get("Kong-Request-ID"); !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s: id %q, want %s", c.config, got, c.want)
		}
		if got := res.Response.Header.Get("Kong-Request-ID"); got != "" {
			t.Errorf("%s: the response has the id %q", c.config, got)
		}
		if len(res.Shared) != 0 {
			t.Errorf("%s: ctx.shared has %v", c.config, res.Shared)
		}
	}
}

func TestIDThatCameIsKept(t *testing.T) {
	res := run(t, `{"header_name": "X-Trace", "echo_downstream": true}`, pdktest.Request{Header: http.Header{"x-trace": {"mine"}}})
	if got := res.Upstream.Header.Values("X-Trace"); len(got) != 1 || got[0] != "mine" {
		t.Errorf("upstream sees %q", got)
	}
	if got := res.Response.Header.Get("X-Trace"); got != "mine" {
		t.Errorf("client sees %q", got)
	}
	if got := logged(t, res); got != "mine" {
		t.Errorf("log has %q", got)
	}
}

func TestEmptyIDIsReplaced(t *testing.T) {
	res := run(t, "", pdktest.Request{Header: http.Header{"Kong-Request-ID": {""}}})
	if got := res.Upstream.Header.Values("Kong-Request-Id"); len(got) != 1 || got[0] == "" {
		t.Errorf("upstream sees %q", got)
	}
}

func logged(t *testing.T, res pdktest.Result) string {
	t.Helper()
	var entry struct {
		ID string `json:"correlation_id"`
	}
	if err := json.Unmarshal([]byte(res.Entry), &entry); err != nil {
		t.Fatal(err)
	}
	return entry.ID
}

func TestSameIDEverywhere(t *testing.T) {
	res := run(t, `{"echo_downstream": true}`, pdktest.Request{})
	id := res.Upstream.Header.Get("Kong-Request-ID")
	if got := res.Response.Header.Get("Kong-Request-ID"); got != id || got == "" {
		t.Errorf("client sees %q, upstream %q", got, id)
	}
	if got := logged(t, res); got != id {
		t.Errorf("log has %q, upstream saw %q", got, id)
	}
}

// remover takes the header away after correlation-id.
type remover struct{}

func (remover) Access(k *pdk.PDK) error { return k.ServiceRequest.ClearHeader("Kong-Request-ID") }

func TestEchoOutlivesTheHeader(t *testing.T) {
	other := pdk.Plugin{Name: "remover", Version: "1", Priority: 1, New: func() any { return &remover{} }}
	res := run(t, `{"echo_downstream": true}`, pdktest.Request{}, other)
	if got := res.Response.Header.Get("Kong-Request-ID"); got == "" || got != logged(t, res) {
		t.Errorf("client sees %q, log has %q", got, logged(t, res))
	}
}

// refuser answers before correlation-id.
type refuser struct{}

func (refuser) Access(k *pdk.PDK) error { return k.Response.Exit(403, nil, nil) }

func TestEchoWithoutAccess(t *testing.T) {
	other := pdk.Plugin{Name: "refuser", Version: "1", Priority: 1 << 20, New: func() any { return &refuser{} }}
	res := run(t, `{"echo_downstream": true}`, pdktest.Request{}, other)
	if got := res.Response.Header.Get("Kong-Request-ID"); !strings.HasSuffix(got, "#1") {
		t.Errorf("client sees %q", got)
	}
	res = run(t, `{"echo_downstream": true}`, pdktest.Request{Header: http.Header{"Kong-Request-ID": {"mine"}}}, other)
	if got := res.Response.Header.Get("Kong-Request-ID"); got != "mine" {
		t.Errorf("client sees %q, want mine", got)
	}
}

func TestCountersAreUniqueAmongGoroutines(t *testing.T) {
	next := generator("uuid#counter")
	var seen sync.Map
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if id := next(nil); func() bool { _, dup := seen.LoadOrStore(id, true); return dup }() {
					t.Errorf("id %s came twice", id)
				}
			}
		})
	}
	wg.Wait()
	if a, b := generator("uuid#counter")(nil), generator("uuid#counter")(nil); a == b {
		t.Errorf("two instances made %s", a)
	}
}

func TestTrackerFormat(t *testing.T) {
	x := pdktest.New(pdktest.Request{})
	var got []string
	next := tracker("192.0.2.1", 17, func() time.Time { return time.Unix(1700000000, 45_000_000) })
	p := pdk.Plugin{Name: "tracker", Version: "1", New: func() any {
		return &caller{func(k *pdk.PDK) { got = append(got, next(k), next(k)) }}
	}}
	if err := x.Use(p, ""); err != nil {
		t.Fatal(err)
	}
	x.Run()
	if want := "192.0.2.1-8000-17-40000-1-1700000000.045 192.0.2.1-8000-17-40000-2-1700000000.045"; strings.Join(got, " ") != want {
		t.Errorf("ids %q, want %q", got, want)
	}
}

// caller calls a function in access.
type caller struct{ f func(*pdk.PDK) }

func (c *caller) Access(k *pdk.PDK) { c.f(k) }

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"generator": "random"}`: `generator: found "random", expected one of uuid, uuid#counter, tracker`,
		`{"header_name": "a b"}`:  `header_name: found "a b"`,
		`{"header_name": ""}`:     `header_name: found ""`,
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}
