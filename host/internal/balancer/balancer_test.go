package balancer

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

func upstream(weights map[string]int, order ...string) *entity.Upstream {
	u := &entity.Upstream{Name: "u"}
	for _, target := range order {
		u.Targets = append(u.Targets, &entity.Target{Target: target, Weight: weights[target]})
	}
	return u
}

// Over as many choices as the weights add up to, each target gets exactly its weight; one of weight 0 gets none.
func TestWeights(t *testing.T) {
	weights := map[string]int{"a:1": 5, "b:2": 1, "[::1]:3": 2, "off:4": 0}
	b := New(upstream(weights, "a:1", "b:2", "[::1]:3", "off:4"))
	got := map[string]int{}
	longest, run, last := 0, 0, ""
	for range 8 * 10 {
		host := b.Next(nil).Host
		got[host]++
		if run++; host != last {
			run, last = 1, host
		}
		longest = max(longest, run)
	}
	if got["a"] != 50 || got["b"] != 10 || got["::1"] != 20 || got["off"] != 0 {
		t.Errorf("choices %v", got)
	}
	if longest > 3 {
		t.Errorf("the same target came %d times in a row: the choices are not spread", longest)
	}
}

// A further try goes to a target that was not tried, whatever the weights, until all were.
func TestNextPrefersUntried(t *testing.T) {
	b := New(upstream(map[string]int{"a:1": 1000, "b:2": 1, "c:3": 1}, "a:1", "b:2", "c:3"))
	for range 20 {
		var tried []*Target
		for range 3 {
			next := b.Next(tried)
			if contains(tried, next) {
				t.Fatalf("%s was tried already", next.Host)
			}
			tried = append(tried, next)
		}
		if b.Next(tried) == nil {
			t.Fatal("no target although all were only tried")
		}
	}
}

func TestNoTargets(t *testing.T) {
	for _, u := range []*entity.Upstream{upstream(nil), upstream(map[string]int{"a:1": 0}, "a:1")} {
		if got := New(u).Next(nil); got != nil {
			t.Errorf("chose %v", got)
		}
	}
}
