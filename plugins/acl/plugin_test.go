package acl

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

var (
	member   = &pdk.Consumer{ID: "aaaaaaaa-0000-4000-8000-000000000001", Username: "member"}   // groups a and b, consumer groups gold and b
	stranger = &pdk.Consumer{ID: "aaaaaaaa-0000-4000-8000-000000000002", Username: "stranger"} // no groups
	foreign  = &pdk.Consumer{ID: "none of ours", Username: "foreign"}                          // made by another plugin
	key      = &pdk.Credential{ID: "key"}
)

func exchange(req pdktest.Request) *pdktest.Exchange {
	x := pdktest.New(req)
	x.Consumers = []*pdk.Consumer{member, stranger}
	x.Credentials = map[string]map[string]*pdk.Credential{"acls": {
		member.ID: {ID: member.ID, ConsumerID: member.ID, Fields: map[string]any{"groups": []any{"a", "b"}}},
	}}
	x.Groups = map[string][]*pdk.ConsumerGroup{member.ID: {{ID: "g1", Name: "gold"}, {ID: "g2", Name: "b"}}}
	return x
}

func run(t *testing.T, config string, req pdktest.Request) pdktest.Result {
	t.Helper()
	x := exchange(req)
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	for _, f := range res.Failures {
		t.Errorf("%s failed in %s: %+v", f.Plugin, f.Phase, f.Err)
	}
	return res
}

func TestDecision(t *testing.T) {
	groups := func(names ...any) map[string]any { return map[string]any{"authenticated_groups": names} }
	const (
		passes    = "200"
		none      = "401 Unauthorized"
		forbidden = "403 You cannot consume this service"
	)
	for _, c := range []struct {
		name, config string
		req          pdktest.Request
		want         string
		header       string // X-Consumer-Groups | X-Authenticated-Groups as the upstream sees them
	}{
		{"allowed", `{"allow": ["b"]}`, pdktest.Request{Consumer: member, Credential: key}, passes, "a, b|"},
		{"one of many allowed", `{"allow": ["x", "a"]}`, pdktest.Request{Consumer: member, Credential: key}, passes, "a, b|"},
		{"not allowed", `{"allow": ["x"]}`, pdktest.Request{Consumer: member, Credential: key}, forbidden, ""},
		{"letter case counts", `{"allow": ["A"]}`, pdktest.Request{Consumer: member, Credential: key}, forbidden, ""},
		{"nobody is allowed", `{"allow": []}`, pdktest.Request{Consumer: member, Credential: key}, forbidden, ""},
		{"denied", `{"deny": ["b"]}`, pdktest.Request{Consumer: member, Credential: key}, forbidden, ""},
		{"not denied", `{"deny": ["x"]}`, pdktest.Request{Consumer: member, Credential: key}, passes, "a, b|"},
		{"nobody is denied", `{"deny": []}`, pdktest.Request{Consumer: member, Credential: key}, passes, "a, b|"},

		{"nobody, allow", `{"allow": ["a"]}`, pdktest.Request{}, none, ""},
		{"nobody, deny", `{"deny": ["a"]}`, pdktest.Request{}, none, ""},
		{"credential only, allow", `{"allow": ["a"]}`, pdktest.Request{Credential: key}, forbidden, ""},
		{"credential only, deny", `{"deny": ["a"]}`, pdktest.Request{Credential: key}, forbidden, ""},

		{"no groups, allow", `{"allow": ["a"]}`, pdktest.Request{Consumer: stranger, Credential: key}, forbidden, ""},
		{"no groups, deny", `{"deny": ["a"]}`, pdktest.Request{Consumer: stranger, Credential: key}, passes, "|"},
		{"anonymous without groups, allow", `{"allow": ["a"]}`, pdktest.Request{Consumer: stranger}, none, ""},
		{"anonymous without groups, deny", `{"deny": ["a"]}`, pdktest.Request{Consumer: stranger}, passes, "|"},
		{"anonymous with groups", `{"allow": ["a"]}`, pdktest.Request{Consumer: member}, passes, "a, b|"},
		{"anonymous with the wrong groups", `{"allow": ["x"]}`, pdktest.Request{Consumer: member}, forbidden, ""},
		{"a consumer of another plugin", `{"deny": ["a"], "include_consumer_groups": true}`, pdktest.Request{Consumer: foreign, Credential: key}, passes, "|"},

		{"authenticated groups of nobody", `{"allow": ["s"]}`, pdktest.Request{Shared: groups("r", "s")}, passes, "|r, s"},
		{"wrong authenticated groups of nobody", `{"allow": ["a"]}`, pdktest.Request{Shared: groups("r", "s")}, forbidden, ""},
		{"denied authenticated groups of nobody", `{"deny": ["s"]}`, pdktest.Request{Shared: groups("r", "s")}, forbidden, ""},
		{"authenticated groups of a credential", `{"allow": ["s"]}`, pdktest.Request{Credential: key, Shared: groups("s")}, passes, "|s"},
		{"authenticated groups of the anonymous", `{"allow": ["s"]}`, pdktest.Request{Consumer: member, Shared: groups("s")}, passes, "|s"},
		{"authenticated groups do not count", `{"allow": ["s"]}`, pdktest.Request{Consumer: member, Credential: key, Shared: groups("s")}, forbidden, ""},
		{"they always count", `{"allow": ["s"], "always_use_authenticated_groups": true}`, pdktest.Request{Consumer: member, Credential: key, Shared: groups("s")}, passes, "|s"},
		{"they would always count", `{"allow": ["a"], "always_use_authenticated_groups": true}`, pdktest.Request{Consumer: member, Credential: key}, passes, "a, b|"},
		{"they replace the consumer's", `{"allow": ["a"], "always_use_authenticated_groups": true}`, pdktest.Request{Consumer: member, Credential: key, Shared: groups("s")}, forbidden, ""},
		{"an empty list is none", `{"allow": ["s"]}`, pdktest.Request{Shared: groups()}, none, ""},
		{"no list is none", `{"allow": ["s"]}`, pdktest.Request{Shared: map[string]any{"authenticated_groups": "s"}}, none, ""},
		{"a list of something else is none", `{"allow": ["s"]}`, pdktest.Request{Shared: groups("s", 1)}, none, ""},

		{"hidden", `{"allow": ["a"], "hide_groups_header": true}`, pdktest.Request{Consumer: member, Credential: key}, passes, "|"},
		{"hidden authenticated groups", `{"allow": ["s"], "hide_groups_header": true}`, pdktest.Request{Shared: groups("s")}, passes, "|"},

		{"consumer groups do not count", `{"allow": ["gold"]}`, pdktest.Request{Consumer: member, Credential: key}, forbidden, ""},
		{"consumer groups count", `{"allow": ["gold"], "include_consumer_groups": true}`, pdktest.Request{Consumer: member, Credential: key}, passes, "a, b, gold|"},
		{"denied consumer group", `{"deny": ["gold"], "include_consumer_groups": true}`, pdktest.Request{Consumer: member, Credential: key}, forbidden, ""},
		{"no consumer groups", `{"allow": ["gold"], "include_consumer_groups": true}`, pdktest.Request{Consumer: stranger, Credential: key}, forbidden, ""},
		{
			"consumer groups that are set", `{"allow": ["silver"], "include_consumer_groups": true}`,
			pdktest.Request{Consumer: stranger, Credential: key, Groups: []*pdk.ConsumerGroup{{ID: "g3", Name: "silver"}}}, passes, "silver|",
		},
		{
			"they replace those of the configuration", `{"allow": ["gold"], "include_consumer_groups": true}`,
			pdktest.Request{Consumer: member, Credential: key, Groups: []*pdk.ConsumerGroup{{ID: "g3", Name: "silver"}}}, forbidden, "",
		},
		{
			"consumer groups of nobody", `{"allow": ["silver"], "include_consumer_groups": true}`,
			pdktest.Request{Groups: []*pdk.ConsumerGroup{{ID: "g3", Name: "silver"}}}, passes, "silver|",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.req.Header = http.Header{consumerHeader: {"forged"}, authenticatedHeader: {"forged"}}
			res := run(t, c.config, c.req)
			if c.want == passes {
				if res.Upstream == nil {
					t.Fatalf("answered with %d %s", res.Response.Status, res.Response.Body)
				}
				h := res.Upstream.Header
				if got := strings.Join(h.Values(consumerHeader), "+") + "|" + strings.Join(h.Values(authenticatedHeader), "+"); got != c.header {
					t.Errorf("upstream sees %s, want %s", got, c.header)
				}
				return
			}
			status, message, _ := strings.Cut(c.want, " ")
			if strconv.Itoa(res.Response.Status) != status || !strings.Contains(string(res.Response.Body), `"`+message+`"`) || res.Source != "error" || res.Upstream != nil {
				t.Errorf("answer %d %s from %s, want %s", res.Response.Status, res.Response.Body, res.Source, c.want)
			}
		})
	}
}

func TestStrangeListsAreLogged(t *testing.T) {
	res := run(t, `{"allow": ["s"]}`, pdktest.Request{Shared: map[string]any{"authenticated_groups": "s"}})
	if len(res.Log) != 1 || !strings.Contains(res.Log[0].Message, "authenticated_groups") {
		t.Errorf("log %v", res.Log)
	}
}

func TestTheHostCannotAnswer(t *testing.T) {
	for _, question := range []wire.AskFn{wire.AskClientLoadCredential, wire.AskClientAuthenticateConsumerGroupByConsumerID} {
		x := exchange(pdktest.Request{Consumer: member, Credential: key})
		x.Script = func(a *wire.Ask) *wire.Answer {
			if a.Fn != question {
				return nil
			}
			return &wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: "out of order"}}
		}
		if err := x.Use(Plugin, `{"deny": ["x"], "include_consumer_groups": true}`); err != nil {
			t.Fatal(err)
		}
		res := x.Run()
		if res.Response.Status != 500 || !strings.Contains(string(res.Response.Body), `"An unexpected error occurred"`) || res.Upstream != nil {
			t.Errorf("answer %d %s", res.Response.Status, res.Response.Body)
		}
		if len(res.Log) != 1 || !strings.Contains(res.Log[0].Message, "out of order") || !strings.Contains(res.Log[0].Message, member.ID) {
			t.Errorf("log %v", res.Log)
		}
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		``:                               "allow: found neither allow nor deny, expected one of them",
		`{"allow": null, "deny": null}`:  "allow: found neither",
		`{"allow": ["a"], "deny": []}`:   "deny: found allow and deny, expected one of them",
		`{"allow": [""]}`:                "allow.0: found",
		`{"deny": [1]}`:                  "deny.0: found",
		`{"whitelist": ["a"]}`:           "whitelist: is unknown",
		`{"hide_groups_header": null}`:   "hide_groups_header: found null",
		`{"include_consumer_groups": 1}`: "include_consumer_groups: found",
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}
