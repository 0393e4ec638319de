package plugins

import (
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

// run sends one request through a plugin.
func run(t *testing.T, p pdk.Plugin, config string, request pdktest.Request) pdktest.Result {
	t.Helper()
	x := pdktest.New(request)
	if err := x.Use(p, config); err != nil {
		t.Fatal(err)
	}
	return x.Run()
}

func TestWork(t *testing.T) {
	for number, header := range map[int]string{1: "X-Bench", 3: "X-Bench-3"} {
		res := run(t, work(number), "", pdktest.Request{Header: http.Header{"X-Name": {"Ada"}, "User-Agent": {"a"}}})
		if up, down := res.Upstream.Header.Get(header), res.Response.Header.Get(header); up != "hello, Ada" || down != "hello, Ada" {
			t.Errorf("%s: found %q at the upstream and %q on the response", header, up, down)
		}
	}
	if res := run(t, work(1), "", pdktest.Request{Header: http.Header{"User-Agent": {""}}}); res.Upstream.Header.Get("X-Bench") != "" {
		t.Error("found a greeting without a user agent: the header was not read")
	}
}

func TestCalls(t *testing.T) {
	for _, c := range []struct {
		calls  int
		tenths []string
	}{{0, nil}, {1, nil}, {2, nil}, {10, []string{"9"}}, {30, []string{"9", "19", "29"}}} {
		res := run(t, calls, `{"calls": `+strconv.Itoa(c.calls)+`}`, pdktest.Request{})
		want := ""
		if c.calls > 0 {
			want = strconv.Itoa(c.calls)
		}
		if found := res.Upstream.Header.Get("X-Calls"); found != want || res.Response.Status != http.StatusOK {
			t.Errorf("%d calls: found X-Calls %q, status %d", c.calls, found, res.Response.Status)
		}
		for _, n := range []string{"9", "19", "29"} {
			if set := res.Upstream.Header.Get("X-Calls-"+n) == "set"; set != slices.Contains(c.tenths, n) {
				t.Errorf("%d calls: X-Calls-%s is set: %v", c.calls, n, set)
			}
		}
	}
	for _, bad := range []string{`{"calls": -1}`, `{"calls": 1001}`, `{"call": 1}`} {
		if err := pdktest.New(pdktest.Request{}).Use(calls, bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestBodies(t *testing.T) {
	if found := run(t, requestBody, "", pdktest.Request{Method: "POST", Body: []byte("12345")}).Upstream.Header.Get("X-Body-Length"); found != "5" {
		t.Errorf("request: found %q", found)
	}
	if res := run(t, responseBody, "", pdktest.Request{}); res.Response.Header.Get("X-Body-Length") == "" {
		t.Error("response: found no length")
	}
}

func TestByNames(t *testing.T) {
	list, err := ByNames("bench-work-2,bench-noop-10")
	if err != nil || len(list) != 2 || list[1].Name != "bench-noop-10" {
		t.Errorf("found %v, %v", list, err)
	}
	if _, err := ByNames("bench-work,bench-rest"); err == nil || !strings.Contains(err.Error(), `"bench-rest" is not one`) {
		t.Errorf("found %v", err)
	}
}

// Python and JavaScript have the same plugins; those that do nothing are only native.
func TestSameNames(t *testing.T) {
	for language, file := range map[string]string{"python": "plugin.py", "js": "plugin.js"} {
		files, err := Directory(language)
		if err != nil {
			t.Fatal(err)
		}
		text, err := fs.ReadFile(files, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range All() {
			if !strings.HasPrefix(p.Name, "bench-noop-") && !strings.Contains(string(text), `"`+p.Name+`"`) {
				t.Errorf("%s has no plugin %s", file, p.Name)
			}
		}
	}
}
