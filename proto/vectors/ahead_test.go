package vectors

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Questions that answers stand for are passed over in the script; those that are put all the same get what the script says.
func TestAnswersAhead(t *testing.T) {
	v, err := Parse("test", []byte(`{"name": "ahead", "phase": "access", "calls": [], "ops": [], "asks": [
		{"ask": 1, "args": [], "value": {"hex": "61"}}, {"ask": 12, "args": ["uri"], "value": "/"}, {"ask": 4, "args": ["c", false], "value": null},
		{"ask": 12, "args": ["uri"], "value": "/new"}, {"ask": 1, "args": [], "value": {"hex": "61"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(fn wire.AskFn, args ...any) *wire.Ask {
		q := &wire.Ask{Fn: fn}
		for _, arg := range args {
			raw, err := wire.AppendValue(nil, arg)
			if err != nil {
				t.Fatal(err)
			}
			q.Args = append(q.Args, raw)
		}
		return q
	}
	uri := ask(12, "uri")
	ahead := []wire.Prefetched{{Fn: 12, Args: ask(12, "args").Args}, {Fn: 1}, {Fn: 12, Args: uri.Args}}

	a := v.Asker()
	a.Ahead(ahead)
	for _, q := range []*wire.Ask{ask(4, "c", false), uri} {
		if answer := a.Answer(q); answer.Err != nil {
			t.Errorf("question %d: %v", q.Fn, answer.Err)
		}
	}
	if len(a.Diffs()) > 0 || a.Used() != 0b110 || len(a.Answered()) != 2 {
		t.Errorf("differences %v, used %b, answered %v", a.Diffs(), a.Used(), a.Answered())
	}

	a = v.Asker()
	a.Ahead(ahead[:1])
	if diffs := a.Diffs(); len(diffs) != 1 || a.Used() != 0 {
		t.Errorf("nothing was asked and no answer stood for it: %v, used %b", diffs, a.Used())
	}
	if a.Answer(ask(2)); len(a.Diffs()) != 2 {
		t.Error("a question that is not in the script is no difference")
	}
}
