package plan

import (
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func wireGroups(ids ...string) []wire.Group {
	var groups []wire.Group
	for _, id := range ids {
		groups = append(groups, wire.Group{ID: id})
	}
	return groups
}

// The vectors of spec section 10 that are about plans. Those about answers and failures (7, 8, 14 to 16) are tests of the proxy and of the
// plugins. A record is written as its plugin and its scope: c consumer, a and b groups, r route, s service, - not enabled.
func TestVectorsOfTheSpecification(t *testing.T) {
	for _, c := range []struct {
		number  int
		records []string
		want    string // the records that run for consumer c, in order
	}{
		{1, []string{"pa", "pa s", "pa r"}, "pa r"},
		{2, []string{"key-auth", "pa rs", "pa c"}, "key-auth, pa rs"},
		{3, []string{"key-auth", "cors c", "cors s"}, "cors s, key-auth"},
		{4, []string{"key-auth", "pa cr-", "pa"}, "key-auth, pa"},
		{5, []string{"key-auth", "pa ar", "pa brs"}, "key-auth, pa brs"},
		{6, []string{"key-auth", "pa b", "pa a"}, "key-auth, pa a"},
		{9, []string{"key-auth", "rate-limiting c", "rate-limiting"}, "key-auth, rate-limiting c"}, // anonymous: c
		{13, []string{"pa", "pb"}, "pb, pa"},
	} {
		var all []*Instance
		label := map[uint64]string{}
		for i, text := range c.records {
			name, scope, _ := strings.Cut(text, " ")
			in := bound(uint64(i+1), name, priorities[name], strings.TrimSuffix(scope, "-"))
			in.Record.Enabled = !strings.HasSuffix(scope, "-")
			in.Authenticates = name == "key-auth"
			label[in.ID] = text
			all = append(all, in)
		}
		p := compile(t, all, routeR, routeR2).ForRoute(routeR, false)
		for i, st := range p.Steps() {
			if st.Instance.Authenticates {
				p = p.Switch(i, consC, nil)
				break
			}
		}
		var got []string
		for _, st := range p.Steps() {
			got = append(got, label[st.Instance.ID])
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("vector %d: %v, want %s", c.number, got, c.want)
		}
	}
	// 10, 11 and 12 are in TestOrder and TestCycles, 7 is here: without a consumer the later plugins are chosen without one.
	all := []*Instance{bound(1, "key-auth", 1250, ""), bound(2, "acl", 950, "c"), bound(3, "acl", 950, "")}
	if got := chosen(compile(t, all, routeR).ForRoute(routeR, false), "acl"); got != 3 {
		t.Errorf("vector 7: record %d", got)
	}
}

// A plugin that only the consumer brings, and whose place was before the one that authenticates (spec 6.5).
func TestLatePlugins(t *testing.T) {
	byPlace := func() []*Instance {
		all := recordsOf(t, "zipkin", "key-auth", "acl")
		all[0].Record.Consumer = consC
		return all
	}
	byRule := func() []*Instance {
		all := recordsOf(t, "rate-limiting before key-auth", "key-auth", "acl")
		all[0].Record.Consumer = consC
		return all
	}
	for _, c := range []struct {
		name, late, want string
		all              []*Instance
		refused          bool
	}{
		{"by its place", LateByPlace, "key-auth acl", byPlace(), false},
		{"by its place, run", LateRun, "key-auth zipkin acl", byPlace(), false},
		{"by its place, error", LateError, "key-auth acl", byPlace(), true},
		{"by a rule", LateByPlace, "key-auth rate-limiting acl", byRule(), false},
		{"by a rule, skip", LateSkip, "key-auth acl", byRule(), false},
		{"by a rule, error", LateError, "key-auth acl", byRule(), true},
	} {
		set, err := Compile(Options{Late: c.late}, c.all, []*entity.Route{routeR}, []*entity.Consumer{consC})
		if err != nil {
			t.Fatal(err)
		}
		p := set.ForRoute(routeR, false).Switch(0, consC, nil)
		if got := lookupNames(p.Steps()); got != c.want || p.Late() != c.refused {
			t.Errorf("%s: %s, late %t", c.name, got, p.Late())
		}
	}
}

// A second plugin that authenticates changes the consumer again; what has run stays.
func TestSecondAuthentication(t *testing.T) {
	all := recordsOf(t, "key-auth", "basic-auth", "acl", "acl", "rate-limiting", "rate-limiting", "rate-limiting")
	all[2].Record.Consumer, all[4].Record.Consumer, all[5].Record.Consumer = consC, consC, consD
	p := compile(t, all, routeR).ForRoute(routeR, false)
	first := p.Switch(0, consC, nil)
	if got := lookupNames(first.Steps()); got != "key-auth basic-auth acl rate-limiting" || chosen(first, "acl") != 3 || chosen(first, "rate-limiting") != 5 {
		t.Errorf("after the first: %v", ids(first.Steps()))
	}
	second := first.Switch(1, consD, nil)
	if chosen(second, "acl") != 4 || chosen(second, "rate-limiting") != 6 || len(second.Steps()) != 4 {
		t.Errorf("after the second: %v", ids(second.Steps()))
	}
	third := first.Switch(2, nil, nil)
	if chosen(third, "acl") != 3 || chosen(third, "rate-limiting") != 7 {
		t.Errorf("cleared behind acl: %v", ids(third.Steps()))
	}
}

// verdicts answers for conditions by record.
type verdicts map[string]bool

func (v verdicts) Verdict(s *Step) (bool, error) { return v[s.Record().ID], nil }

type text string

func (text) Eval(ConditionFacts) (bool, error) { panic("not asked here") }

func conditional(in *Instance, onFalse string) *Instance {
	in.Condition, in.Record.Condition, in.Record.OnFalse = text("x"), "x", onFalse
	return in
}

func runs(t *testing.T, p *Plan, v verdicts) string {
	t.Helper()
	var got []string
	for _, s := range p.Steps() {
		runs, err := s.Runs(v)
		if err != nil {
			t.Fatal(err)
		}
		if runs {
			got = append(got, s.Record().ID)
		}
	}
	return strings.Join(got, " ")
}

// A condition that does not hold skips the plugin, or gives the next record its turn, wherever that has its place.
func TestCandidates(t *testing.T) {
	low := 5
	last := bound(3, "x", 50, "")
	last.Record.Priority = &low
	all := []*Instance{
		conditional(bound(1, "x", 50, "rs"), entity.OnFalseNext), conditional(bound(2, "x", 50, "r"), entity.OnFalseNext), last,
		conditional(bound(4, "y", 40, "r"), entity.OnFalseSkip), bound(5, "y", 40, ""), bound(6, "z", 10, ""),
	}
	p := compile(t, all, routeR).ForRoute(routeR, false)
	for _, c := range []struct {
		holds verdicts
		want  string
	}{
		{verdicts{}, "6 3"}, {verdicts{"1": true}, "1 6"}, {verdicts{"2": true}, "2 6"}, {verdicts{"1": true, "2": true, "4": true}, "1 4 6"},
	} {
		if got := runs(t, p, c.holds); got != c.want {
			t.Errorf("%v: %s runs, want %s", c.holds, got, c.want)
		}
	}
	off := bound(7, "x", 50, "s")
	off.Record.Mode = entity.ModeDisable
	p = compile(t, append(all, off), routeR).ForRoute(routeR, false)
	if got := runs(t, p, verdicts{}); got != "6" {
		t.Errorf("with a record that disables behind the conditions: %s", got)
	}
}

// When the walk turns between the candidates of a name, the first that ran is the only one.
func TestCandidatesOnBothSidesOfAuthentication(t *testing.T) {
	early, low := conditional(bound(1, "x", 2000, "r"), entity.OnFalseNext), 5
	late := bound(2, "x", 2000, "")
	late.Record.Priority = &low
	mine := bound(3, "x", 2000, "cs")
	mine.Record.Priority = &low
	p := compile(t, []*Instance{early, late, mine, bound(4, "auth", 1000, "")}, routeR).ForRoute(routeR, false)
	next := p.Switch(1, consC, nil)
	if got := runs(t, next, verdicts{"1": true}); got != "1 4" {
		t.Errorf("the first one held: %s", got)
	}
	if got := runs(t, next, verdicts{}); got != "4 3" {
		t.Errorf("the first one did not hold: %s", got)
	}
}

// A record with mode: disable wins its level and ends the lookup.
func TestDisable(t *testing.T) {
	off := bound(1, "x", 1, "r")
	off.Record.Mode = entity.ModeDisable
	set := compile(t, []*Instance{off, bound(2, "x", 1, ""), bound(3, "x", 1, "s")}, routeR, routeR2)
	if a, b := chosen(set.ForRoute(routeR, false), "x"), chosen(set.ForRoute(routeR2, false), "x"); a != 0 || b != 3 {
		t.Errorf("records %d and %d", a, b)
	}
}

// With protocols enforced, records count for requests of their protocols only.
func TestProtocols(t *testing.T) {
	secure := bound(1, "x", 1, "r")
	secure.Record.Protocols = []string{"https"}
	plain := bound(2, "x", 1, "")
	plain.Record.Protocols = []string{"http", "https"}
	for _, enforce := range []bool{false, true} {
		set, err := Compile(Options{Protocols: enforce}, []*Instance{secure, plain}, []*entity.Route{routeR}, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, b := chosen(set.ForRoute(routeR, false), "x"), chosen(set.ForRoute(routeR, true), "x")
		if want := map[bool]uint64{false: 1, true: 2}[enforce]; a != want || b != 1 {
			t.Errorf("enforced %t: plain %d, secure %d", enforce, a, b)
		}
	}
}
