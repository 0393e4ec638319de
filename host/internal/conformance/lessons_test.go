package conformance

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// anyValue draws a value of the PDK. Keys never look like a form of the vectors.
func anyValue(depth int) *rapid.Generator[any] {
	text := rapid.OneOf(rapid.String(), rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) }))
	float := rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && f != 0 })
	scalars := []*rapid.Generator[any]{
		rapid.SampledFrom([]any{true, false, int64(0), "", []byte{}, []any{}, map[string]any{}, uint64(math.MaxUint64), int64(math.MinInt64), 1e300, 0.1}),
		rapid.Int64().AsAny(), rapid.Uint64().AsAny(), float.AsAny(), text.AsAny(), rapid.SliceOf(rapid.Byte()).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	inner := rapid.OneOf(anyValue(depth-1), rapid.Just[any](nil))
	key := rapid.Map(rapid.String(), func(s string) string { return "k" + s })
	return rapid.OneOf(append(scalars, rapid.SliceOfN(inner, 0, 4).AsAny(), rapid.MapOfN(key, inner, 0, 4).AsAny())...)
}

// Every value survives every carrier, language and test kit, both ways: it is read where another plugin left it, written, and read again.
func TestLesson11EveryValueSurvivesEverywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		value := anyValue(3).Draw(rt, "value")
		if n, ok := value.(uint64); ok && n <= math.MaxInt64 {
			value = int64(n)
		}
		spelt := vectors.Spell(value)
		differs := everywhere(t, vector(t, map[string]any{
			"facts": map[string]any{"shared": map[string]any{"in": spelt}},
			"node":  map[string]any{"max_shared": 0},
			"calls": []any{
				result(call("ctx.shared.get", "in"), spelt),
				call("ctx.shared.set", "out", spelt),
				result(call("ctx.shared.get", "out"), spelt),
				call("log.set_serialize_value", "v", spelt),
			},
			"ops": []any{[]any{50, "out", spelt}, []any{60, "v", spelt, "set"}},
		}))
		if len(differs) > 0 {
			rt.Fatalf("with %#v\n%s", value, strings.Join(differs, "\n"))
		}
	})
}

// Calls of one handler that are made at the same time, on threads or as promises, are answered each for itself and lose nothing.
func TestLesson22ConcurrentUseInOneHandler(t *testing.T) {
	var calls, ops, asks []any
	for i := range 16 {
		key := fmt.Sprint("k", i)
		calls = append(calls,
			call("ctx.shared.set", key, i), result(call("request.get_header", "x-a"), "1"), call("service.request.add_header", "X-B", key),
			result(call("client.load_consumer", "bob", true), map[string]any{"fields": map[string]any{"username": "bob"}}), call("log.info", key),
		)
		ops = append(ops, []any{50, key, i}, []any{2, "X-B", []any{key}})
		asks = append(asks, map[string]any{"ask": 4, "args": []any{"bob", true}, "value": map[string]any{"id": "c", "username": "bob"}})
	}
	agree(t, vector(t, map[string]any{
		"together": true, "facts": map[string]any{"request": map[string]any{"headers": []any{[]any{"x-a", "1"}}}}, "calls": calls, "ops": ops, "asks": asks,
	}))
}

// After the handler has returned every function says so, whatever thread or promise calls it. Functions that only give notice, and those that
// need nothing of the request, are left out.
func TestLesson22UseAfterReturnIsRefused(t *testing.T) {
	var late []any
	seen := map[string]bool{}
	for _, v := range suite.Vectors {
		for _, c := range v.Calls {
			fn := slices.IndexFunc(pdk.Functions[:], func(f pdk.Function) bool { return f.Name == c.Fn })
			if v.Untyped || c.Error != "" || seen[c.Fn] || fn < 0 || pdk.Functions[fn].Class == pdk.ClassNotice {
				continue
			}
			seen[c.Fn] = true
			late = append(late, refused(call(c.Fn, append([]any{}, c.Args...)...), "wrong_phase"))
		}
	}
	if len(late) < 100 {
		t.Errorf("only %d functions", len(late))
	}
	agree(t, vector(t, map[string]any{"calls": []any{call("ctx.shared.set", "a", 1)}, "late": late, "ops": []any{[]any{50, "a", 1}}}))
}

// What stands behind an exit has no effect: it does not run, or it is refused, also where the handler catches what the exit throws.
func TestLesson23NothingAfterAnExit(t *testing.T) {
	for _, exit := range []map[string]any{call("response.exit", 403, "no"), call("response.error", 503, "busy")} {
		for _, swallow := range []bool{false, true} {
			t.Run(fmt.Sprint(exit["fn"], " swallowed ", swallow), func(t *testing.T) {
				ended := call(exit["fn"].(string), exit["args"].([]any)...)
				ended["swallow"] = swallow
				op := []any{25, 403, map[string]any{"hex": "6e6f"}, []any{}}
				if exit["fn"] == "response.error" {
					op = []any{26, 503, "busy", []any{}}
				}
				agree(t, vector(t, map[string]any{
					"calls": []any{
						call("response.set_header", "X-A", "1"), ended,
						refused(call("ctx.shared.set", "late", 1), "wrong_phase"),
						refused(call("response.exit", 200), "wrong_phase"),
						refused(call("client.load_consumer", "bob", true), "wrong_phase"),
						refused(call("request.get_raw_body"), "wrong_phase"),
					},
					"ops": []any{[]any{21, "X-A", []any{"1"}}, op},
				}))
			})
		}
	}
}

// Of exits at the same time one counts; the others are refused.
func TestLesson23OneOfManyExitsCounts(t *testing.T) {
	const exits = 8
	var calls []any
	for i := range exits {
		calls = append(calls, call("response.exit", 200+i))
	}
	v := vector(t, map[string]any{"together": true, "calls": calls})
	for _, impl := range suite.implementations {
		run, diffs := runOn(t, impl, v)
		if len(diffs) > 0 || run.Outcome.Err != nil {
			t.Errorf("%s: %v, outcome %v", impl.name(), diffs, run)
			continue
		}
		refusals, winner := 0, -1
		for i, r := range run.Results {
			if r.Error == "wrong_phase" {
				refusals++
			} else if r.Fault == "" && r.Error == "" {
				winner = i
			}
		}
		if refusals != exits-1 || len(run.Outcome.Ops) != 1 || run.Outcome.Ops[0].Status != 200+winner {
			t.Errorf("%s: %d of %d exits refused, call %d is not, operations %+v", impl.name(), refusals, exits, winner, run.Outcome.Ops)
		}
	}
}

// Bytes that are no UTF-8 survive in header values, paths, queries and bodies, from the client to the plugin and from the plugin to the host.
func TestLesson24BytesStayBytes(t *testing.T) {
	blank := " \t"
	value := rapid.Custom(func(t *rapid.T) string {
		raw := rapid.SliceOfN(rapid.OneOf(rapid.ByteRange(0x80, 0xff), rapid.ByteRange(0x21, 0x7e), rapid.Just(byte(' '))), 1, 40).Draw(t, "value")
		return strings.Trim(string(raw), blank)
	})
	rapid.Check(t, func(rt *rapid.T) {
		in, out := value.Draw(rt, "in"), value.Draw(rt, "out")
		body := rapid.SliceOf(rapid.Byte()).Draw(rt, "body")
		path := "/" + string(rapid.SliceOf(rapid.ByteRange(0x80, 0xff)).Draw(rt, "path"))
		differs := everywhere(t, vector(t, map[string]any{
			"facts": map[string]any{"request": map[string]any{
				"target": "/x", "path": vectors.Spell(path), "headers": []any{[]any{"x-in", vectors.Spell(in)}},
			}},
			"calls": []any{
				result(call("request.get_header", "X-In"), vectors.Spell(in)),
				result(call("request.get_path"), vectors.Spell(path)),
				result(call("request.get_raw_body"), vectors.Spell(body)),
				call("service.request.set_header", "X-Out", vectors.Spell(out)),
				result(call("request.get_header", "X-Out"), vectors.Spell(out)),
				call("response.add_header", "X-Out", vectors.Spell(out)),
				call("service.request.set_raw_body", vectors.Spell(body)),
				result(call("request.get_raw_body"), vectors.Spell(body)),
			},
			"asks": []any{map[string]any{"ask": 1, "args": []any{}, "value": vectors.Spell(body)}},
			"ops": []any{
				[]any{1, "X-Out", []any{vectors.Spell(out)}}, []any{22, "X-Out", []any{vectors.Spell(out)}}, []any{7, vectors.Spell(body)},
			},
		}))
		if len(differs) > 0 {
			rt.Fatalf("with %q, %q, %q\n%s", in, out, path, strings.Join(differs, "\n"))
		}
	})
}
