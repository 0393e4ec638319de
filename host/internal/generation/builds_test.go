package generation

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// A new build of a plugin server gets instances of its own, under ids that were never used; each is released on the build that has it.
func TestBuildsOfServersShareNothing(t *testing.T) {
	manifests := []entity.Manifest{manifest("a", false), manifest("b", false)}
	old, fresh := &fakeServers{manifests: manifests}, &fakeServers{manifests: manifests}
	b := newTestBuilder(t, old)
	var h Holder
	ids := func() map[uint64]*plan.Instance {
		all := map[uint64]*plan.Instance{}
		for _, st := range h.Current().Plans.ForRoute(nil, false).Steps() {
			all[st.Instance.ID] = st.Instance
		}
		return all
	}
	h.Swap(mustBuild(t, b, "{name: a}, {name: b}"))
	before := ids()
	request := h.Acquire()
	h.Swap(mustBuild(t, b.With(fresh), "{name: a}, {name: b}"))
	after := ids()
	for id, in := range after {
		if before[id] != nil || in.Remote != plan.Remote(fresh) || b.Instance(id) != in {
			t.Errorf("instance %d is not one of the new build alone", id)
		}
	}
	if len(after) != 2 || len(old.live) != 2 || len(fresh.live) != 2 {
		t.Errorf("%d instances; the old build has %v, the new one %v", len(after), old.live, fresh.live)
	}
	// A reload that changes nothing shares what the new build has.
	h.Swap(mustBuild(t, b.With(fresh), "{name: a}, {name: b}"))
	for id := range ids() {
		if after[id] == nil {
			t.Errorf("instance %d was made again", id)
		}
	}
	request.Release()
	if len(old.live) != 0 || len(fresh.live) != 2 {
		t.Errorf("after the last request the old build has %v, the new one %v", old.live, fresh.live)
	}

	// One that never becomes current leaves nothing.
	never := &fakeServers{manifests: manifests}
	g := mustBuild(t, b.With(never), "{name: a}")
	if len(never.live) != 1 {
		t.Fatalf("live %v", never.live)
	}
	g.Discard()
	g.Discard()
	if len(never.live) != 0 || len(fresh.live) != 2 {
		t.Errorf("after Discard %v and %v are live", never.live, fresh.live)
	}
}
