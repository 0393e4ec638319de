package dispatch

import (
	"errors"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// A plugin that fails open must not leave a message of which it has changed a part: the client would get bytes that nobody made.
func TestLesson10OpenOnlyWhileNothingWasChanged(t *testing.T) {
	late := &transport.Error{Kind: transport.Timeout, Msg: "late"}
	replace := func(out *wire.Outcome) error { out.Body, out.HasBody = []byte("X"), true; return nil }
	hold := func(out *wire.Outcome) error { out.Body, out.HasBody = nil, true; return nil }
	keep := func(*wire.Outcome) error { return nil }
	fails := func(*wire.Outcome) error { return late }
	header := func(name string) func(out *wire.Outcome) error {
		return func(out *wire.Outcome) error {
			out.Ops = []wire.Op{{Code: pdk.OpResponseSetHeader, Name: name, Values: []string{"1"}}}
			return nil
		}
	}
	for name, c := range map[string]struct {
		head   func(out *wire.Outcome) error // what header_filter does
		pieces []func(out *wire.Outcome) error
		want   []string // of the body, as far as it comes; nil at the end: cut off
		cut    bool
	}{
		"nothing was changed":            {keep, []func(*wire.Outcome) error{keep, fails, keep}, []string{"a", "b", "c"}, false},
		"the first piece failed":         {keep, []func(*wire.Outcome) error{fails, fails, fails}, []string{"a", "b", "c"}, false},
		"a piece was replaced":           {keep, []func(*wire.Outcome) error{replace, fails}, []string{"X"}, true},
		"a piece was held back":          {keep, []func(*wire.Outcome) error{hold, fails}, []string{""}, true},
		"the head speaks of the body":    {header("content-encoding"), []func(*wire.Outcome) error{fails}, nil, true},
		"the head has another length":    {header("Content-Length"), []func(*wire.Outcome) error{fails}, nil, true},
		"the head has something else":    {header("X-Seen"), []func(*wire.Outcome) error{fails, keep}, []string{"a", "b"}, false},
		"what failed in the head is not": {fails, []func(*wire.Outcome) error{fails, keep}, []string{"a", "b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			at := 0
			in := instance("x", remote(func(call *wire.Call, _ wire.Asker, out *wire.Outcome) error {
				if call.Phase == pdk.PhaseHeaderFilter.Code() {
					return c.head(out)
				}
				at++
				return c.pieces[at-1](out)
			}), failOpen)
			ex := b.exchange(in)
			b.Run(ex, ex.Chain(pdk.PhaseHeaderFilter), pdk.PhaseHeaderFilter)
			var got []string
			var err error
			for i := range c.pieces {
				var piece []byte
				if piece, err = b.FilterBody(ex, ex.Chain(pdk.PhaseBodyFilter), []byte{'a' + byte(i)}, i == len(c.pieces)-1); err != nil {
					break
				}
				got = append(got, string(piece))
			}
			var filter *FilterError
			if cut := errors.As(err, &filter); cut != c.cut || len(got) != len(c.want) {
				t.Fatalf("pieces %q, error %v; want %q, cut %v", got, err, c.want, c.cut)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("pieces %q, want %q", got, c.want)
				}
			}
		})
	}
}

// What another plugin changed does not close this one, and what it changed for one request does not close it for the next.
func TestLesson10IsOfOneInstanceAndRequest(t *testing.T) {
	b := newBench(t)
	changes := instance("changes", remote(func(_ *wire.Call, _ wire.Asker, out *wire.Outcome) error {
		out.Body, out.HasBody = []byte("X"), true
		return nil
	}), failOpen)
	fail := false
	fails := instance("fails", remote(func(_ *wire.Call, _ wire.Asker, out *wire.Outcome) error {
		if fail {
			return errors.New("no")
		}
		out.Body, out.HasBody = []byte("Y"), true
		return nil
	}), failOpen)
	filter := func(ins ...*plan.Instance) (string, error) {
		ex := b.exchange(ins...)
		piece, err := b.FilterBody(ex, ex.Chain(pdk.PhaseBodyFilter), []byte("a"), true)
		return string(piece), err
	}
	if piece, err := filter(changes, fails); piece != "Y" || err != nil {
		t.Fatalf("%q, %v", piece, err)
	}
	fail = true
	if piece, err := filter(changes, fails); piece != "X" || err != nil {
		t.Errorf("%q, %v", piece, err)
	}
}

// A handler that read the body and failed has taken nothing: who asks later, or sends it on, gets all of it.
func TestLesson10AReadBodyIsStillThere(t *testing.T) {
	b := newBench(t)
	reads := remote(func(_ *wire.Call, asker wire.Asker, out *wire.Outcome) error {
		asker.Answer(&wire.Ask{Fn: pdk.AskRequestGetRawBody})
		out.Ops = []wire.Op{{Code: pdk.OpServiceRequestSetRawBody, Body: []byte("half"), HasBody: true}} // not all of what it wanted
		return &transport.Error{Kind: transport.Closed, Msg: "died"}
	})
	var seen string
	next := remote(func(_ *wire.Call, asker wire.Asker, _ *wire.Outcome) error {
		a := asker.Answer(&wire.Ask{Fn: pdk.AskRequestGetRawBody})
		seen = string(a.Bytes)
		return nil
	})
	ex := b.exchange(instance("reads", reads, failOpen), instance("next", next))
	b.RunAccess(ex)
	if seen != "body" || ex.Upstream.HasBody || ex.Answer.Given {
		t.Errorf("the next plugin saw %q, upstream gets %q, answer %+v", seen, ex.Upstream.Body, ex.Answer)
	}
}
