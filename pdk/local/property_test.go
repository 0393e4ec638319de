package local

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// TestHandlerSeesWhatTheHostApplies makes random header writes: what the handler reads at its end is what the facts hold after the host applied
// the operations, also when they went over the wire.
func TestHandlerSeesWhatTheHostApplies(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "A", "x-b", "X_B", "host", "Host", "c"})
	values := rapid.SliceOfN(rapid.SampledFrom([]string{"", "1", " 2 ", "\xe9"}), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		r := newTester()
		for range rapid.IntRange(0, 6).Draw(t, "before") {
			r.headers(name.Draw(t, "name"), "old")
		}
		r.facts.HasResponse, r.facts.HasServiceResponse = true, true
		r.facts.Response.Headers = slices.Clone(r.facts.Request.Headers)
		r.facts.ServiceResponse.Headers = r.facts.Response.Headers
		upstream := lines(r.facts.ServiceResponse.Headers)
		steps := rapid.IntRange(0, 8).Draw(t, "steps")
		response := rapid.Bool().Draw(t, "response")
		phase := pdk.PhaseAccess
		if response {
			phase = pdk.PhaseResponse
		}
		var seen pdk.MultiMap
		out := r.run(phase, func(k *pdk.PDK) error {
			set, add, clear := k.ServiceRequest.SetHeader, k.ServiceRequest.AddHeader, k.ServiceRequest.ClearHeader
			get := k.Request.GetHeaders
			if response {
				set, add, clear, get = k.Response.SetHeader, k.Response.AddHeader, k.Response.ClearHeader, k.Response.GetHeaders
			}
			for range steps {
				n, v := name.Draw(t, "name"), values.Draw(t, "values")
				var err error
				switch rapid.IntRange(0, 2).Draw(t, "what") {
				case 0:
					err = set(n, v...)
				case 1:
					err = add(n, v...)
				case 2:
					err = clear(n)
				}
				if err != nil {
					return err
				}
			}
			var err error
			seen, err = get(-1)
			return err
		})
		if out.Err != nil {
			t.Fatal(out.Err)
		}
		var travelled wire.Outcome
		if err := wire.DecodeOutcome(wire.AppendOutcome(nil, out), nil, &travelled); err != nil {
			t.Fatal(err)
		}
		for i := range travelled.Ops {
			if _, err := Apply(r.facts, &travelled.Ops[i]); err != nil {
				t.Fatal(err)
			}
		}
		applied := r.facts.Request.Headers
		if response {
			applied = r.facts.Response.Headers
		}
		folded := make([]wire.Header, len(applied))
		for i, h := range applied {
			folded[i] = wire.Header{Name: FoldName(h.Name), Value: h.Value}
		}
		var read []wire.Header
		for n, v := range seen.All() {
			read = append(read, wire.Header{Name: n, Value: v})
		}
		if lines(read) != lines(folded) {
			t.Errorf("the handler saw\n%sthe facts hold\n%s", lines(read), lines(folded))
		}
		if lines(r.facts.ServiceResponse.Headers) != upstream {
			t.Error("the upstream's headers changed")
		}
	})
}

// anyValue draws a value of ctx.shared in the types that come back.
func anyValue(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](true), rapid.Just[any](false), rapid.Int64().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(), rapid.Just[any]([]any{}), rapid.Just[any](map[string]any{}),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	inner := rapid.OneOf(anyValue(depth-1), rapid.Just[any](nil))
	return rapid.OneOf(append(scalars, rapid.SliceOfN(inner, 0, 4).AsAny(), rapid.MapOfN(rapid.String(), inner, 0, 4).AsAny())...)
}

// What was set is what is read, in the handler and in the next one.
func TestLesson11ValuesSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newTester()
		r.node.MaxShared = 0
		v := anyValue(3).Draw(t, "value")
		read := func(k *pdk.PDK) {
			if got := k.CtxShared.Get("k"); !reflect.DeepEqual(got, v) {
				t.Errorf("%#v came back as %#v", v, got)
			}
		}
		out := r.run(pdk.PhaseAccess, func(k *pdk.PDK) error {
			err := k.CtxShared.Set("k", v)
			read(k)
			return err
		})
		if out.Err != nil {
			t.Fatal(out.Err)
		}
		if _, err := Apply(r.facts, &out.Ops[0]); err != nil {
			t.Fatal(err)
		}
		r.run(pdk.PhaseLog, func(k *pdk.PDK) error { read(k); return nil })
	})
}

// TestEscapedPathsAreStable: escaping gives only bytes that may stand in a path, and escaping again changes nothing.
func TestEscapedPathsAreStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + string(rapid.SliceOf(rapid.Byte()).Draw(t, "path"))
		got, err := EscapePath(path)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := EscapePath(got); again != got || err != nil {
			t.Errorf("%q became %q", got, again)
		}
		if err := CheckRawQuery(got); err != nil {
			t.Error(err)
		}
		for i := range len(got) {
			if got[i] >= 0x80 || got[i] == '?' || got[i] == '#' {
				t.Errorf("%q has the byte %q", got, got[i])
			}
		}
	})
}

// TestQueryRoundTrip: what set_query writes, get_query reads.
func TestQueryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.MapOfN(rapid.StringN(1, 8, -1), rapid.SliceOfN(rapid.Custom(func(t *rapid.T) pdk.QueryValue {
			if rapid.Bool().Draw(t, "bare") {
				return pdk.QueryValue{Bare: true}
			}
			return pdk.QueryValue{Text: rapid.String().Draw(t, "text")}
		}), 1, 3), 0, 8).Draw(t, "args")
		query := EncodeQuery(args)
		if err := CheckRawQuery(query); err != nil {
			t.Fatal(err)
		}
		newTester().target("/?"+query).run(pdk.PhaseAccess, func(k *pdk.PDK) error {
			q, err := k.Request.GetQuery(1000)
			if err != nil || len(q.Map()) != len(args) {
				t.Errorf("%v came back as %v %v", args, q.Map(), err)
			}
			for name, values := range args {
				if !slices.Equal(q.Values(name), values) {
					t.Errorf("%q: %v came back as %v", name, values, q.Values(name))
				}
			}
			return nil
		})
	})
}
