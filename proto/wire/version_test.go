package wire_test

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func TestChooseVersion(t *testing.T) {
	for _, c := range []struct {
		minA, maxA, minB, maxB, want uint32
		ok                           bool
	}{
		{1, 1, 1, 1, 1, true},
		{1, 3, 2, 5, 3, true},
		{2, 5, 1, 3, 3, true},
		{1, 4, 2, 3, 3, true},
		{0, 2, 1, 3, 2, true}, // an end that knows no ranges
		{1, 3, 0, 2, 2, true},
		{0, 1, 0, 1, 1, true},
		{1, 1, 2, 3, 1, false},
		{4, 5, 1, 3, 3, false},
		{0, 3, 1, 2, 2, false},
		{0, 0, 1, 1, 0, false}, // an end that says nothing at all
	} {
		got, ok := wire.ChooseVersion(c.minA, c.maxA, c.minB, c.maxB)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%d to %d and %d to %d: %d, %v; want %d, %v", c.minA, c.maxA, c.minB, c.maxB, got, ok, c.want, c.ok)
		}
	}
}
