package iprestriction

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func run(t *testing.T, config string, req pdktest.Request) pdktest.Result {
	t.Helper()
	x := pdktest.New(req)
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	for _, f := range res.Failures {
		t.Errorf("%s failed in %s: %+v", f.Plugin, f.Phase, f.Err)
	}
	return res
}

func TestWhoPasses(t *testing.T) {
	for _, c := range []struct {
		name   string
		config string
		peer   string
		passes bool
	}{
		{"denied address", `{"deny": ["192.0.2.7"]}`, "192.0.2.7:1", false},
		{"address beside the denied one", `{"deny": ["192.0.2.7"]}`, "192.0.2.8:1", true},
		{"denied network, first address", `{"deny": ["10.1.0.0/16"]}`, "10.1.0.0:1", false},
		{"denied network, last address", `{"deny": ["10.1.0.0/16"]}`, "10.1.255.255:1", false},
		{"behind the denied network", `{"deny": ["10.1.0.0/16"]}`, "10.2.0.0:1", true},
		{"before the denied network", `{"deny": ["10.1.0.0/16"]}`, "10.0.255.255:1", true},
		{"bits behind the prefix do not count", `{"deny": ["10.1.2.3/16"]}`, "10.1.9.9:1", false},
		{"everybody", `{"deny": ["0.0.0.0/0"]}`, "255.255.255.255:1", false},
		{"IPv4 is not in an IPv6 network", `{"deny": ["::/0"]}`, "10.0.0.1:1", true},
		{"IPv6 is not in an IPv4 network", `{"deny": ["0.0.0.0/0"]}`, "[2001:db8::1]:1", true},
		{"allowed address", `{"allow": ["192.0.2.7"]}`, "192.0.2.7:1", true},
		{"not in allow", `{"allow": ["192.0.2.7"]}`, "192.0.2.8:1", false},
		{"in both: deny is first", `{"allow": ["10.0.0.0/8"], "deny": ["10.0.0.9"]}`, "10.0.0.9:1", false},
		{"in allow only", `{"allow": ["10.0.0.0/8"], "deny": ["10.0.0.9"]}`, "10.0.0.8:1", true},
		{"in neither", `{"allow": ["10.0.0.0/8"], "deny": ["10.0.0.9"]}`, "11.0.0.1:1", false},
		{"an empty allow does not count", `{"allow": [], "deny": ["10.0.0.9"]}`, "11.0.0.1:1", true},
		{"null beside a list", `{"allow": null, "deny": ["10.0.0.9"]}`, "10.0.0.9:1", false},
		{"IPv6 network", `{"allow": ["2001:db8::/32"]}`, "[2001:db8:ffff::1]:1", true},
		{"outside the IPv6 network", `{"allow": ["2001:db8::/32"]}`, "[2001:db9::]:1", false},
		{"IPv6 prefix inside a byte", `{"allow": ["2001:db8::/33"]}`, "[2001:db8:8000::]:1", false},
		{"IPv6 in another spelling", `{"allow": ["2001:DB8:0:0::7"]}`, "[2001:db8::7]:1", true},
		{"mapped client, IPv4 list", `{"deny": ["10.0.0.0/8"]}`, "[::ffff:10.1.2.3]:1", false},
		{"IPv4 client, mapped address", `{"deny": ["::ffff:10.1.2.3"]}`, "10.1.2.3:1", false},
		{"IPv4 client, mapped network", `{"deny": ["::ffff:10.0.0.0/104"]}`, "10.1.2.3:1", false},
		{"IPv4 client outside the mapped network", `{"deny": ["::ffff:10.0.0.0/104"]}`, "11.1.2.3:1", true},
		{"client with a zone", `{"allow": ["fe80::/10"]}`, "[fe80::1%eth0]:1", true},
		{"one network inside the other", `{"allow": ["10.0.0.0/8", "10.1.0.0/16", "12.0.0.1"]}`, "10.200.0.1:1", true},
		{"between two entries", `{"allow": ["10.0.0.0/8", "12.0.0.1"]}`, "11.0.0.1:1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := run(t, c.config, pdktest.Request{Peer: c.peer})
			if passed := res.Upstream != nil; passed != c.passes {
				t.Fatalf("passed %v, answer %d %s", passed, res.Response.Status, res.Response.Body)
			}
			if !c.passes && (res.Response.Status != 403 || res.Source != "error") {
				t.Errorf("answer %d from %s, want 403 from error", res.Response.Status, res.Source)
			}
		})
	}
}

func message(t *testing.T, res pdktest.Result) string {
	t.Helper()
	var body struct {
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(res.Response.Body, &body); err != nil || body.RequestID == "" {
		t.Fatalf("body %s: %v", res.Response.Body, err)
	}
	return body.Message
}

func TestRefusal(t *testing.T) {
	for _, c := range []struct {
		config  string
		status  int
		message string
	}{
		{`{"deny": ["10.0.0.9"]}`, 403, "IP address not allowed: 10.0.0.9"},
		{`{"allow": ["10.0.0.8"], "status": 451, "message": "not \"here\""}`, 451, `not "here"`},
		{`{"deny": ["10.0.0.9"], "status": null, "message": null}`, 403, "IP address not allowed: 10.0.0.9"},
	} {
		res := run(t, c.config, pdktest.Request{})
		if got := message(t, res); res.Response.Status != c.status || got != c.message {
			t.Errorf("%s: answer %d %q, want %d %q", c.config, res.Response.Status, got, c.status, c.message)
		}
	}
}

// The address is that of the client behind trusted peers. Nobody else chooses it.
func TestForwardedAddress(t *testing.T) {
	for _, c := range []struct {
		trusted []netip.Prefix
		status  int
		message string
	}{
		{[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, 403, "IP address not allowed: 192.0.2.1"},
		{nil, 200, ""},
	} {
		res := run(t, `{"deny": ["192.0.2.0/24"]}`, pdktest.Request{Trusted: c.trusted, Header: http.Header{"X-Real-Ip": {"192.0.2.1"}}})
		if res.Response.Status != c.status || c.message != "" && message(t, res) != c.message {
			t.Errorf("trusted %v: answer %d %s", c.trusted, res.Response.Status, res.Response.Body)
		}
	}
}

func TestNoAddress(t *testing.T) {
	for _, config := range []string{`{"allow": ["0.0.0.0/0", "::/0"]}`, `{"deny": ["10.0.0.1"], "status": 404, "message": "x"}`} {
		res := run(t, config, pdktest.Request{Peer: "unix:0"})
		if got := message(t, res); res.Response.Status != 403 || got != "Cannot identify the client IP address, unix domain sockets are not supported." {
			t.Errorf("%s: answer %d %q", config, res.Response.Status, got)
		}
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                        "allow: allow and deny are both null, expected at least one list",
		`{"allow": null}`:                           "expected at least one list",
		`{"allow": ["10.0.0.1", "300.1.1.1"]}`:      `allow.1: found "300.1.1.1", expected an address or a network`,
		`{"deny": ["10.0.0.0/33"]}`:                 "deny.0: found",
		`{"deny": ["10.0.0.0-10.0.0.9"]}`:           "deny.0: found",
		`{"deny": ["fe80::1%eth0"]}`:                "deny.0: found",
		`{"deny": ["::ffff:10.0.0.0/90"]}`:          "deny.0: found \"::ffff:10.0.0.0/90\", expected at least 96 bits",
		`{"deny": ["10.0.0.1"], "status": 200}`:     "status: found 200",
		`{"deny": ["10.0.0.1"], "message": ""}`:     "message: found",
		`{"deny": ["10.0.0.1"], "whitelist": null}`: "whitelist: is unknown",
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}

// FuzzNetworks compares the search with looking at every entry.
func FuzzNetworks(f *testing.F) {
	f.Add("10.0.0.0/8,10.1.0.0/16,192.0.2.1", "10.1.2.3")
	f.Add("::ffff:10.0.0.0/104,2001:db8::/33,::/0", "2001:db8:7fff::1")
	f.Add("0.0.0.0/0,255.255.255.255/32", "255.255.255.255")
	f.Add("10.0.0.0/33,a", "::ffff:1.2.3.4")
	f.Fuzz(func(t *testing.T, list, text string) {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return
		}
		address = address.Unmap().WithZone("")
		entries := strings.Split(list, ",")
		n, wrong, err := parseNetworks(entries)
		if err != nil {
			if wrong < 0 || wrong >= len(entries) {
				t.Fatalf("entry %d of %d is wrong: %v", wrong, len(entries), err)
			}
			return
		}
		want := false
		for _, e := range entries {
			if p, err := netip.ParsePrefix(e); err == nil {
				if p.Addr().Is4In6() {
					p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
				}
				want = want || p.Contains(address)
			} else {
				want = want || netip.MustParseAddr(e).Unmap() == address
			}
		}
		if got := n.contain(address); got != want {
			t.Errorf("%s in %s: %v, want %v", address, list, got, want)
		}
	})
}
