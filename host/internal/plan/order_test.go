package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// priorities are those of spec 6.1.
var priorities = map[string]int{
	"pre-function": 1000000, "correlation-id": 100001, "zipkin": 100000, "bot-detection": 2500, "cors": 2000, "jwt": 1450, "key-auth": 1250, "basic-auth": 1100,
	"ip-restriction": 990, "acl": 950, "rate-limiting": 910, "request-transformer": 801, "http-log": 12, "pa": 300, "pb": 300,
}

const everyPhase = pdk.PhaseRewrite | pdk.PhaseAccess | pdk.PhaseResponse | pdk.PhaseHeaderFilter | pdk.PhaseBodyFilter | pdk.PhaseLog

// recordOf reads a record such as "rate-limiting before key-auth": rules of access, or of a phase in front, as in "log: a after b".
func recordOf(t testing.TB, id int, text string) *Instance {
	t.Helper()
	phase := "access"
	if p, rest, ok := strings.Cut(text, ": "); ok {
		phase, text = p, rest
	}
	words := strings.Fields(text)
	rec := &entity.Plugin{ID: words[0], Name: words[0], Enabled: true, Pos: entity.Pos{File: "f", Line: id, Col: 3}}
	for i := 1; i < len(words); i += 2 {
		switch words[i] {
		case "before":
			rec.Ordering.Before = map[string][]string{phase: strings.Split(words[i+1], ",")}
		case "after":
			rec.Ordering.After = map[string][]string{phase: strings.Split(words[i+1], ",")}
		case "instance":
			rec.Stack, rec.InstanceName = true, words[i+1]
		default:
			t.Fatalf("%s: unknown word %s", text, words[i])
		}
	}
	return &Instance{ID: uint64(id), Record: rec, Priority: priorities[rec.Name], Phases: everyPhase, Authenticates: strings.HasSuffix(rec.Name, "-auth")}
}

func recordsOf(t testing.TB, texts ...string) []*Instance {
	t.Helper()
	var all []*Instance
	for i, text := range texts {
		all = append(all, recordOf(t, i+1, text))
	}
	return all
}

func lookupNames(steps []*Step) string {
	var names []string
	for _, s := range steps {
		names = append(names, s.Record().LookupName())
	}
	return strings.Join(names, " ")
}

// Worked out by hand from spec 6.3 and 6.3.1.
func TestOrder(t *testing.T) {
	both := func(s string) [3]string { return [3]string{s, s, s} }
	for _, c := range []struct {
		name    string
		records []string
		want    [3]string // pull, push, priority_preserving
	}{
		{"no rules", []string{"acl", "key-auth", "rate-limiting"}, both("key-auth acl rate-limiting")},
		{"equal priorities", []string{"pa", "pb"}, both("pb pa")},
		{"a rule that holds anyway", []string{"key-auth before acl", "acl"}, both("key-auth acl")},
		{"before a plugin of larger priority", []string{"rate-limiting before key-auth", "key-auth", "ip-restriction", "acl"}, [3]string{
			"rate-limiting key-auth ip-restriction acl", "ip-restriction acl rate-limiting key-auth", "rate-limiting key-auth ip-restriction acl",
		}},
		{"after a plugin of smaller priority", []string{"basic-auth after request-transformer", "request-transformer", "acl", "rate-limiting"}, [3]string{
			"request-transformer basic-auth acl rate-limiting", "acl rate-limiting request-transformer basic-auth", "acl rate-limiting request-transformer basic-auth",
		}},
		{"a chain of plugins", []string{"key-auth after acl", "acl after rate-limiting", "rate-limiting", "jwt", "ip-restriction"}, [3]string{
			"jwt rate-limiting acl key-auth ip-restriction", "jwt ip-restriction rate-limiting acl key-auth", "jwt ip-restriction rate-limiting acl key-auth",
		}},
		{"before one that goes before another", []string{"http-log before acl", "acl before jwt", "jwt", "cors", "key-auth"}, [3]string{
			"cors http-log acl jwt key-auth", "cors key-auth http-log acl jwt", "cors http-log acl jwt key-auth",
		}},
		{"two before one", []string{"rate-limiting before jwt", "acl before jwt", "jwt", "key-auth"}, [3]string{
			"acl rate-limiting jwt key-auth", "key-auth acl rate-limiting jwt", "acl rate-limiting jwt key-auth",
		}},
		{"a name that is not there", []string{"acl before nothing", "key-auth"}, both("key-auth acl")},
		{"instances of a stack", []string{"acl instance one", "acl instance two before one", "key-auth"}, both("key-auth acl#two acl#one")},
		{"a rule about a stack means all of it", []string{"acl instance one", "acl instance two", "http-log before acl"}, [3]string{
			"http-log acl#two acl#one", "http-log acl#two acl#one", "http-log acl#two acl#one",
		}},
	} {
		for i, o := range []Options{{}, {Mode: Push}, {Algorithm: PriorityPreserving}} {
			for _, phase := range []pdk.Phase{pdk.PhaseAccess, pdk.PhaseLog, pdk.PhaseHeaderFilter} {
				var texts []string
				for _, r := range c.records {
					texts = append(texts, phase.String()+": "+r)
				}
				set, err := Compile(o, recordsOf(t, texts...), []*entity.Route{routeR}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := lookupNames(set.ForRoute(routeR, false).Chain(phase)); got != c.want[i] {
					t.Errorf("%s, %+v, %s: %s, want %s", c.name, o, phase, got, c.want[i])
				}
				other := pdk.PhaseBodyFilter // has no rules: the static order
				if got, static := lookupNames(set.ForRoute(routeR, false).Chain(other)), lookupNames(compile(t, recordsOf(t, texts...), routeR).ForRoute(routeR, false).Chain(other)); got != static {
					t.Errorf("%s: rules of %s change %s: %s", c.name, phase, other, got)
				}
			}
		}
	}
}

// Per-record priorities count before those of the plugins.
func TestPriorityOfARecord(t *testing.T) {
	all := recordsOf(t, "acl", "key-auth", "cors")
	first, last := 5000, -1
	all[0].Record.Priority, all[2].Record.Priority = &first, &last
	if got := lookupNames(compile(t, all, routeR).ForRoute(routeR, false).Steps()); got != "acl key-auth cors" {
		t.Error(got)
	}
}

func TestCycles(t *testing.T) {
	consumers := []*entity.Consumer{consC, consD}
	bind := func(in *Instance, change func(*entity.Plugin)) *Instance { change(in.Record); return in }
	forC := func(p *entity.Plugin) { p.Consumer = consC }
	onR := func(p *entity.Plugin) { p.Route = routeR }
	for _, c := range []struct {
		name     string
		records  []*Instance
		cycled   string // the records of the cycle
		route    *entity.Route
		consumer *entity.Consumer
	}{
		{"everywhere", recordsOf(t, "acl before cors", "cors before acl"), "acl cors", nil, nil},
		{"of one record", recordsOf(t, "acl before cors after cors", "cors"), "acl cors", nil, nil},
		{"of three", recordsOf(t, "acl before cors", "cors before jwt", "jwt before acl"), "acl cors jwt", nil, nil},
		{"of a route", []*Instance{recordOf(t, 1, "acl before cors"), bind(recordOf(t, 2, "cors before acl"), onR)}, "acl cors", routeR, nil},
		{"of a consumer", []*Instance{recordOf(t, 1, "acl before cors"), recordOf(t, 2, "cors"), bind(recordOf(t, 3, "cors before acl"), forC)}, "acl cors", routeR, consC},
		{"of records that never meet", []*Instance{
			bind(recordOf(t, 1, "acl before cors"), onR), bind(recordOf(t, 2, "cors before acl"), func(p *entity.Plugin) { p.Route = routeR2 }), recordOf(t, 3, "acl"), recordOf(t, 4, "cors"),
		}, "", nil, nil},
		{"of a shadowed record", []*Instance{recordOf(t, 1, "acl before cors"), recordOf(t, 2, "cors before acl"), bind(recordOf(t, 3, "cors"), onR)}, "acl cors", nil, nil},
	} {
		for _, o := range []Options{{}, {Mode: Push}, {Algorithm: PriorityPreserving}} {
			_, err := Compile(o, c.records, []*entity.Route{routeR, routeR2}, consumers)
			var cycle *CycleError
			if !errors.As(err, &cycle) {
				if c.cycled != "" || err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				continue
			}
			var names []string
			for _, r := range cycle.Records() {
				names = append(names, r.Name)
			}
			slices.Sort(names)
			if got := strings.Join(names, " "); got != c.cycled || cycle.Route != c.route || cycle.Consumer != c.consumer || cycle.Phase != "access" {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	_, err := Compile(Options{}, recordsOf(t, "acl before cors", "cors before acl"), nil, nil)
	for _, part := range []string{`"acl" must run before "cors" (ordering.before of the record at f:1:3)`, `"cors" must run before "acl" (ordering.before of the record at f:2:3)`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %s", err, part)
		}
	}
}

// Groups that only a plugin puts together may make rules go round: the plan has the static order then, and somebody hears of it.
func TestCyclesOfGroupsThatPluginsSet(t *testing.T) {
	gold := &entity.ConsumerGroup{ID: "gg", Name: "gold"}
	all := recordsOf(t, "key-auth", "acl", "rate-limiting", "acl before rate-limiting", "rate-limiting before acl")
	all[3].Record.ConsumerGroup, all[4].Record.ConsumerGroup = groupA, gold
	var heard []error
	set, err := Compile(Options{Report: func(err error) { heard = append(heard, err) }}, all, []*entity.Route{routeR}, []*entity.Consumer{consC})
	if err != nil {
		t.Fatal(err)
	}
	base := set.ForRoute(routeR, false)
	next := base.Switch(0, nil, wireGroups("ga", "gg"))
	if got := ids(next.Chain(pdk.PhaseAccess)); !slices.Equal(got, []uint64{1, 4, 5}) || len(heard) == 0 {
		t.Errorf("order %v, heard %v", got, heard)
	}
	count := len(heard)
	if base.Switch(0, nil, wireGroups("ga", "gg")); len(heard) != count {
		t.Error("every request says it again")
	}
}
