package router

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

func TestExplain(t *testing.T) {
	get := func(change func(*Request)) *Request {
		req := &Request{Method: "GET", Scheme: "http", Host: "a.b", ListenPort: 8000, Path: "/v1/orders"}
		if change != nil {
			change(req)
		}
		return req
	}
	for _, c := range []struct {
		name          string
		loser, winner *entity.Route
		req           *Request
		rule          Rule
		ours, winners string
		missed        string // attributes
	}{
		{name: "attributes", loser: &entity.Route{Paths: []string{"/v1/orders"}}, winner: &entity.Route{Paths: []string{"/"}, Methods: []string{"GET"}}, rule: RuleAttributes, ours: "1", winners: "2"},
		{name: "plain hosts", loser: &entity.Route{Hosts: []string{"*.b"}}, winner: &entity.Route{Hosts: []string{"a.b"}}, rule: RulePlainHosts, ours: "no", winners: "yes"},
		{
			name: "headers", loser: &entity.Route{Headers: map[string][]string{"X-A": {"1"}}}, winner: &entity.Route{Headers: map[string][]string{"X-A": {"1"}, "X-B": {"2"}}},
			req: get(func(r *Request) { r.Headers = headerMap{"x-a": {"1"}, "x-b": {"2"}} }), rule: RuleHeaders, ours: "1", winners: "2",
		},
		{name: "regex", loser: &entity.Route{Paths: []string{"/v1/orders"}}, winner: &entity.Route{Paths: []string{"~/v"}}, rule: RuleRegex, ours: "no", winners: "yes"},
		{name: "priority", loser: &entity.Route{Hosts: []string{"a.b"}, Paths: []string{"/v1"}, Priority: 1}, winner: &entity.Route{Paths: []string{"/v"}, Priority: 3}, rule: RulePriority, ours: "1", winners: "3"},
		{name: "regex_priority", loser: &entity.Route{Paths: []string{"~/v1"}}, winner: &entity.Route{Paths: []string{"~/v"}, RegexPriority: 3}, rule: RuleRegexPriority, ours: "0", winners: "3"},
		{name: "regex_priority below zero", loser: &entity.Route{Paths: []string{"~/v1"}, RegexPriority: -1}, winner: &entity.Route{Paths: []string{"~/v"}}, rule: RuleRegexPriority, ours: "-1", winners: "0"},
		{name: "path length", loser: &entity.Route{Paths: []string{"/v1"}}, winner: &entity.Route{Paths: []string{"/v1/"}}, rule: RulePathLength, ours: "3", winners: "4"},
		{name: "path_match", loser: &entity.Route{Paths: []string{"/v1/orders"}}, winner: &entity.Route{Paths: []string{"/v1/orders"}, PathMatch: "exact"}, rule: RulePathMatch, ours: "prefix", winners: "exact"},
		{name: "created_at", loser: &entity.Route{Paths: []string{"/v1"}, CreatedAt: 9}, winner: &entity.Route{Paths: []string{"/v1"}, CreatedAt: 8}, rule: RuleCreated, ours: "9", winners: "8"},
		{name: "id", loser: &entity.Route{ID: "2", Paths: []string{"/v1"}}, winner: &entity.Route{ID: "1", Paths: []string{"/v1"}}, rule: RuleID, ours: "2", winners: "1"},
		{name: "the best part of a split route", loser: &entity.Route{Paths: []string{"/v", "/v1/", "/other"}}, winner: &entity.Route{Paths: []string{"/v1/o"}}, rule: RulePathLength, ours: "4", winners: "5"},

		{name: "path", loser: &entity.Route{Paths: []string{"/v2", "~/v3"}}, missed: "paths: /v1/orders: /v2, ~/v3"},
		{name: "host", loser: &entity.Route{Hosts: []string{"c.d"}, Paths: []string{"/v2"}}, missed: "hosts: a.b: c.d"},
		{name: "port", loser: &entity.Route{Hosts: []string{"a.b:81"}, Methods: []string{"PUT"}}, missed: "port: 8000: a.b:81; methods: GET: PUT"},
		{name: "port sent", loser: &entity.Route{Hosts: []string{"a.b:81"}}, req: get(func(r *Request) { r.HostPort = 82 }), missed: "port: 82: a.b:81"},
		{name: "header", loser: &entity.Route{Headers: map[string][]string{"X-A": {"One", "two"}}}, req: get(func(r *Request) { r.Headers = headerMap{"x-a": {"3", "4"}} }), missed: "headers.x-a: 3, 4: One, two"},
		{name: "no header", loser: &entity.Route{Headers: map[string][]string{"X-A": {"1"}}}, missed: "headers.x-a: : 1"},
		{name: "sni", loser: &entity.Route{SNIs: []string{"x.y"}}, req: get(func(r *Request) { r.TLS, r.SNI = true, "a.b" }), missed: "snis: a.b: x.y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			routes := []*entity.Route{c.loser}
			if c.winner != nil {
				routes = append(routes, c.winner)
			}
			r, err := New(routes, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if c.req == nil {
				c.req = get(nil)
			}
			x := r.Explain(c.req)
			if x.Match.Route != c.winner || x.Found != (c.winner != nil) || len(x.Losers) != 1 || x.Losers[0].Route != c.loser {
				t.Fatalf("found %+v", x)
			}
			l := x.Losers[0]
			var missed []string
			for _, m := range l.Missed {
				missed = append(missed, m.Attribute+": "+m.Found+": "+m.Expected)
			}
			if got := strings.Join(missed, "; "); got != c.missed || l.Rule != c.rule || l.Ours != c.ours || l.Winners != c.winners {
				t.Errorf("found rule %q, %q against %q, missed %q; expected %q, %q, %q, %q", l.Rule, l.Ours, l.Winners, got, c.rule, c.ours, c.winners, c.missed)
			}
		})
	}
}

func TestExplainStrictProtocols(t *testing.T) {
	r, err := New([]*entity.Route{{Protocols: []string{"https"}, Paths: []string{"/"}}}, Options{StrictProtocols: true})
	if err != nil {
		t.Fatal(err)
	}
	x := r.Explain(&Request{Method: "GET", Scheme: "http", Path: "/"})
	if x.Found || len(x.Losers) != 1 || !slices.Equal(x.Losers[0].Missed, []Miss{{"protocols", "http", "https"}}) {
		t.Errorf("found %+v", x)
	}
}

// Explain agrees with Match, gives every other route one reason, and only routes that match on their own lose by a rule.
func TestExplainAgreesWithMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOptions(t)
		slow := anySlowRouter(t, o)
		routes := slow.routes
		r, err := New(routes, o)
		if err != nil {
			t.Fatal(err)
		}
		req := anyRequest(t)
		x := r.Explain(req)
		var m Match
		if found := r.Match(req, &m); found != x.Found || m.Route != x.Match.Route {
			t.Fatalf("Explain found %v, Match %v", x.Match.Route, m.Route)
		}
		want := len(routes)
		if x.Found {
			want--
		}
		if len(x.Losers) != want {
			t.Fatalf("%d losers, expected %d", len(x.Losers), want)
		}
		for _, l := range x.Losers {
			slow.routes = []*entity.Route{l.Route}
			alone := slow.match(req) != nil
			if alone != (len(l.Missed) == 0) {
				t.Fatalf("route %+v, request %+v: missed %+v, the slow router says %v", l.Route, req, l.Missed, alone)
			}
			if (l.Rule == "") != (len(l.Missed) > 0) {
				t.Fatalf("route %+v: rule %q, missed %+v", l.Route, l.Rule, l.Missed)
			}
		}
	})
}
