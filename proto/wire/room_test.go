package wire

import (
	"fmt"
	"testing"
)

// Outcomes that are read one after the other share memory for their values, and never see each other's.
func TestOutcomesShareRoom(t *testing.T) {
	values := func(n int, what string) *Outcome {
		o := &Outcome{}
		for i := range n {
			o.Ops = append(o.Ops, Op{Code: OpResponseSetHeader, Name: "X", Values: []string{what, fmt.Sprint(i)}[:i%2+1]})
		}
		return o
	}
	var room []string
	var outs []*Outcome
	for round, n := range []int{2, 3, 0, 1, 40, 2, 5} {
		out := new(Outcome)
		var err error
		if room, err = DecodeOutcomeInto(AppendOutcome(nil, values(n, fmt.Sprint(round))), nil, out, room); err != nil {
			t.Fatal(err)
		}
		for i := range out.Ops { // whoever appends to his values hits nobody else's
			_ = append(out.Ops[i].Values, "mine")
		}
		if outs = append(outs, out); cap(room) > leftValues {
			t.Errorf("room for %d values is kept", cap(room))
		}
	}
	for round, n := range []int{2, 3, 0, 1, 40, 2, 5} {
		if want := values(n, fmt.Sprint(round)); fmt.Sprint(outs[round].Ops) != fmt.Sprint(want.Ops) {
			t.Errorf("round %d: got  %v\nwant %v", round, outs[round].Ops, want.Ops)
		}
	}
}
