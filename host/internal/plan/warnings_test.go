package plan

import (
	"errors"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
)

func TestWarnings(t *testing.T) {
	group := &entity.ConsumerGroup{ID: "empty", Name: "empty"}
	for _, c := range []struct {
		name    string
		records []*Instance
		change  func(all []*Instance)
		want    []string // code, record and other record by line, a part of the message
	}{
		{"nothing", recordsOf(t, "key-auth", "acl", "rate-limiting before acl"), nil, nil},
		{"a name that is not there", recordsOf(t, "acl after key-uth", "key-auth"), nil, []string{`dangling_name 1 0 ordering.after.access names "key-uth"`}},
		{"a name of a record that disables", recordsOf(t, "acl after cors", "cors"), func(all []*Instance) { all[1].Record.Mode = entity.ModeDisable },
			[]string{`dangling_name 1 0 names "cors"`}},
		{"a name of a record that is not enabled", recordsOf(t, "acl after cors", "cors"), func(all []*Instance) { all[1].Record.Enabled = false },
			[]string{`dangling_name 1 0 names "cors"`}},
		{"another route", recordsOf(t, "acl after cors", "cors"), func(all []*Instance) { all[0].Record.Route, all[1].Record.Route = routeR, routeR2 },
			[]string{`rule_never_active 1 2 is never active`}},
		{"a service of another route", recordsOf(t, "acl after cors", "cors"), func(all []*Instance) {
			all[0].Record.Route, all[1].Record.Service = routeR, &entity.Service{ID: "t"}
		}, []string{`rule_never_active 1 2 is never active`}},
		{"a group without the consumer", recordsOf(t, "key-auth", "acl after rate-limiting", "rate-limiting"), func(all []*Instance) {
			all[1].Record.Consumer, all[2].Record.ConsumerGroup = consC, group
		}, []string{`rule_never_active 2 3 is never active`}},
		{"a group of the consumer", recordsOf(t, "key-auth", "acl after rate-limiting", "rate-limiting"), func(all []*Instance) {
			all[1].Record.Consumer, all[2].Record.ConsumerGroup = consC, groupA
		}, nil},
		{"a phase without handler", recordsOf(t, "log: acl after cors", "cors"), func(all []*Instance) { all[1].Phases = pdk.PhaseAccess },
			[]string{`rule_never_active 1 2 "cors" has no handler for log`}},
		{"authorisation first", recordsOf(t, "acl before key-auth", "key-auth"), nil, []string{`before_authentication 1 2 "acl" runs before "key-auth"`}},
		{"a limit of consumers first", recordsOf(t, "rate-limiting before key-auth", "key-auth"), func(all []*Instance) {
			all[0].Record.Config = map[string]any{"limit_by": "consumer"}
		}, []string{`before_authentication 1 2 "rate-limiting" runs before "key-auth"`}},
		{"a clone of authorisation first", recordsOf(t, "x before key-auth", "key-auth"), func(all []*Instance) { all[0].Code = "acl" },
			[]string{`before_authentication 1 2 "x" runs before "key-auth"`}},
		{"a consumer too early", recordsOf(t, "cors", "cors", "key-auth"), func(all []*Instance) { all[1].Record.Consumer = consC },
			[]string{`consumer_never_known 2 3 "cors" is chosen before "key-auth"`}},
		{"a consumer too early, and no other record", recordsOf(t, "cors", "key-auth"), func(all []*Instance) { all[0].Record.Consumer = consC },
			[]string{`consumer_never_known 1 2 "cors" is chosen before "key-auth"`}},
		{"a consumer without authentication", recordsOf(t, "acl"), func(all []*Instance) { all[0].Record.ConsumerGroup = groupA },
			[]string{`consumer_never_known 1 0 no plugin that authenticates on the routes where it could run (fix: add one there`}},
		{"a consumer that a rule brings behind", recordsOf(t, "cors", "cors after key-auth", "key-auth after ip-restriction", "ip-restriction"), func(all []*Instance) {
			all[0].Record.Route, all[1].Record.Consumer = routeR2, consC
		}, nil},
		{"a consumer's record that wants to be early", recordsOf(t, "acl", "acl", "key-auth"), func(all []*Instance) {
			early := 9000
			all[1].Record.Consumer, all[1].Record.Priority = consC, &early
		}, nil},
		{"a plugin that is switched off for a consumer", recordsOf(t, "acl", "acl", "key-auth"), func(all []*Instance) {
			all[1].Record.Consumer, all[1].Record.Mode = consC, entity.ModeDisable
		}, nil},
		{"a plugin that is switched off for a consumer too late", recordsOf(t, "cors", "cors", "key-auth"), func(all []*Instance) {
			all[1].Record.Consumer, all[1].Record.Mode = consC, entity.ModeDisable
		}, []string{`consumer_never_known 2 3 "cors" is chosen before "key-auth"`}},
		{"not enabled", recordsOf(t, "acl", "acl"), func(all []*Instance) { all[0].Record.Route, all[0].Record.Enabled = routeR, false },
			[]string{`falls_through 1 2 mode: disable`}},
		{"not enabled, and nothing below", recordsOf(t, "acl", "cors"), func(all []*Instance) { all[0].Record.Route, all[0].Record.Enabled = routeR, false }, nil},
		{"protocols", recordsOf(t, "acl"), func(all []*Instance) { all[0].Record.Protocols = []string{"grpc", "grpcs"} },
			[]string{`protocols_never_match 1 0 grpc, grpcs`}},
	} {
		if c.change != nil {
			c.change(c.records)
		}
		for _, r := range []*entity.Route{routeR, routeR2} {
			r.Protocols = []string{"http", "https"}
		}
		found := compile(t, c.records, routeR, routeR2).Warnings()
		for i, w := range found {
			other := 0
			if w.Other != nil {
				other = w.Other.Pos.Line
			}
			var code, rest string
			if i < len(c.want) {
				code, rest, _ = strings.Cut(c.want[i], " ")
			}
			lines, part, _ := strings.Cut(rest, " ")
			second, part, _ := strings.Cut(part, " ")
			if w.Code != code || lines != itoa(w.Record.Pos.Line) || second != itoa(other) || !strings.Contains(w.Message, part) || w.Pos != w.Record.Pos {
				t.Errorf("%s: %s of %d and %d: %s", c.name, w.Code, w.Record.Pos.Line, other, w)
			}
		}
		if len(found) != len(c.want) {
			t.Errorf("%s: %d warnings %v, want %v", c.name, len(found), found, c.want)
		}
	}
}

func itoa(n int) string { return string(rune('0' + n)) }

func TestStrict(t *testing.T) {
	all := recordsOf(t, "acl after key-uth,cors", "key-auth")
	_, err := Compile(Options{Strict: true}, all, nil, nil)
	var dangling *DanglingError
	if !errors.As(err, &dangling) || len(dangling.Rules) != 2 || !strings.Contains(err.Error(), "config f:1:3") {
		t.Errorf("%v", err)
	}
	if _, err := Compile(Options{Strict: true}, recordsOf(t, "acl after key-auth", "key-auth"), nil, nil); err != nil {
		t.Error(err)
	}
}
