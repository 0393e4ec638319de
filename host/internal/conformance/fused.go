package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// idle is the vector of the step ahead of a fused one. What it says of itself goes to nobody.
const idle = `{"name": "idle", "phase": "access", "calls": [], "ops": []}`

// follows reports whether a vector can be the second step of a fused call: the host sends no body with such a call, and none in body_filter.
func follows(c *wire.Call) bool {
	return c.Phase != wire.PhaseBodyFilter && !c.HasRequestBody && !c.HasResponseBody
}

// ahead gives the instance of the plugin that does nothing; it is made once.
func (r *remote) ahead(ctx context.Context) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.idle != 0 {
		return r.idle, nil
	}
	config, err := json.Marshal(map[string]string{"vector": idle, "socket": r.reports.path, "run": "idle"})
	if err != nil {
		return 0, err
	}
	id := instances.Add(1)
	if err := r.server.Configure(ctx, pluginserver.Instance{ID: id, Plugin: r.plugin, Config: config, RecordID: "idle", InstanceName: "idle"}); err != nil {
		return 0, err
	}
	r.idle = id
	return id, nil
}

// behind makes the step of a vector the second of a call. What belongs to the first alone is not the vector's.
func behind(first uint64, c *wire.Call) {
	facts := *c.Facts
	c.Rest = []wire.Step{{Instance: c.Instance, TimeoutMS: c.TimeoutMS, Plugin: c.Plugin, PluginID: c.PluginID, Prefetched: c.Prefetched, Trace: facts.Trace}}
	if facts.Trace.Parent != "" {
		facts.Trace = wire.Trace{Parent: "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-00"}
	}
	c.Facts, c.Instance, c.PluginID, c.Prefetched = &facts, first, "idle", nil
	c.Plugin = []wire.SharedValue{{Key: "idle", Value: []byte{0xc3}}}
}

// follower waits for a fused call of two steps.
type follower struct {
	*vectors.Asker
	begun int
	diffs []error
}

// Next implements wire.Stepper.
func (f *follower) Next(out *wire.Outcome) (deadline time.Time, more bool) {
	f.begun++
	if out.Err != nil || len(out.Ops) > 0 || out.HasBody {
		f.diffs = append(f.diffs, fmt.Errorf("the step ahead, which does nothing, ended with %+v", *out))
	}
	return time.Now().Add(patience), true
}

// send calls the plugin server for a vector: alone, or behind another step.
func (r *remote) send(ctx context.Context, lane *side, c *wire.Call, asker *vectors.Asker, out *wire.Outcome) (diffs []error, err error) {
	deadline := time.Now().Add(patience)
	if !r.fused || !follows(c) {
		return nil, lane.Call(c, deadline, asker, out)
	}
	if lane.Hello().Features&wire.FeatureSteps == 0 {
		return nil, errors.New("it does not take fused calls")
	}
	first, err := r.ahead(ctx)
	if err != nil {
		return nil, err
	}
	behind(first, c)
	f := &follower{Asker: asker}
	if err = lane.Call(c, deadline, f, out); err == nil && f.begun != 1 {
		err = fmt.Errorf("%d steps came back, expected 2", 1+f.begun)
	}
	return f.diffs, err
}
