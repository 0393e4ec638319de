package wire

import (
	"slices"
	"testing"
)

// given notes what was given up.
type given []uint32

func (g *given) GiveUp(id uint32) { *g = append(*g, id) }

func TestQuit(t *testing.T) {
	var q Quit
	var g given
	q.Enter(&g, 1)
	q.Leave()
	q.Enter(&g, 2)
	if q.Gone() || len(g) > 0 {
		t.Fatal("gone too early", g)
	}
	q.Go()
	q.Go()
	q.Leave()
	q.Enter(&g, 3) // nobody waits for it from the beginning
	q.Leave()
	if !q.Gone() || !slices.Equal(g, given{2, 3}) {
		t.Errorf("given up were %v", g)
	}
	var none *Quit
	none.Enter(&g, 4)
	none.Leave()
	if none.Gone() || len(g) != 2 {
		t.Error("a nil Quit ended something")
	}
}
