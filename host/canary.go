package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/canary"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// canaryInterval is the time between two looks at a canary. A failed call is looked at at once.
const canaryInterval = 200 * time.Millisecond

// trial is a canary under way: a new build, and the generation that uses it.
type trial struct {
	server  string
	next    *planned
	bounds  config.Canary
	trigger string
	watch   *canary.Watch
	since   time.Time
	ended   chan struct{} // closed at the end
	// decided: it does not take its share any more, whatever is compiled for it meanwhile. Who sets it decides what becomes of it.
	decided atomic.Bool

	// Guarded by reloading.
	set *entity.Set
	gen *generation.Generation
}

// beginCanary lets a new build take its share of the requests; reloading is held.
func (h *Host) beginCanary(p *planned, bounds config.Canary, trigger string, set *entity.Set, gen *generation.Generation) {
	now := time.Now()
	c := &trial{
		server: p.Name(), next: p, bounds: bounds, trigger: trigger, since: now, ended: make(chan struct{}), set: set, gen: gen,
		watch: canary.NewWatch(canary.Bounds{
			Share: bounds.Share, For: bounds.For, MinCalls: bounds.MinCalls, Errors: bounds.Errors, Latency: bounds.Latency,
		}, p.Server, h.servers.all.Server(p.Name()), now),
	}
	h.canary = c
	h.canaryNow.Store(c)
	h.observer.Follow(c.watch)
	h.generations.SwapCanary(gen, bounds.Share)
	h.logger.Info("a new build of the plugin server takes a share of the requests", "server", c.server, "build", p.Number(), "canary", bounds.String(),
		"generation", gen.Number)
	h.canaries.Go(func() { h.follow(c) })
}

// follow judges a canary until it ends.
func (h *Host) follow(c *trial) {
	look := time.NewTicker(canaryInterval)
	defer look.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-look.C:
		case <-c.watch.Failed():
		}
		if h.judge(c) {
			return
		}
	}
}

// judge ends a canary that has proved itself good or bad.
func (h *Host) judge(c *trial) (over bool) {
	verdict, reason := c.watch.Judge(time.Now())
	if err := c.next.Lives(); err != nil {
		verdict, reason = canary.Bad, err.Error()
	}
	if verdict == canary.Watching {
		return false
	}
	if verdict == canary.Bad {
		if c.decided.CompareAndSwap(false, true) { // it takes no request any more from now on: a reload may hold the lock for long
			h.generations.SwapCanary(nil, 0)
		}
		reason = c.next.Cause(errors.New(reason)).Error()
	}
	h.reloading.Lock()
	defer h.reloading.Unlock()
	if h.canary != c || h.stopping() {
		return true
	}
	if verdict == canary.Bad {
		h.rollBack(c, slog.LevelError, reason)
	} else if err := h.promote(c); err != nil {
		h.rollBack(c, slog.LevelError, err.Error())
	}
	return true
}

// promote makes a canary the build of all requests; reloading is held.
func (h *Host) promote(c *trial) error {
	err := c.next.Check()
	if err == nil && !c.decided.CompareAndSwap(false, true) { // its generation is gone
		err = errors.New("it was found bad meanwhile")
	}
	if err == nil {
		err = h.servers.all.Promote(c.next.Server)
	}
	if err != nil {
		return fmt.Errorf("it cannot take all requests: %w", err)
	}
	h.note(c, pluginserver.ResultLive, "")
	h.settle(c.next, c.set, c.gen)
	h.endCanary(c)
	return nil
}

// rollBack ends a canary for the old build; requests that began with the new one end there. It is an error unless somebody wanted it so. reloading is
// held.
func (h *Host) rollBack(c *trial, level slog.Level, reason string) {
	h.note(c, pluginserver.ResultRolledBack, reason)
	h.logger.Log(context.Background(), level, "the canary is rolled back, the old build takes all requests", "server", c.server, "build", c.next.Number(), "reason", reason)
	h.endCanary(c)
	h.servers.all.Retire(c.next.Server)
}

func (h *Host) note(c *trial, result, reason string) {
	c.next.made.last.Store(&pluginserver.Replacement{Build: c.next.Number(), At: time.Now(), Trigger: c.trigger, Result: result, Reason: reason})
}

// endCanary lets all requests take the current generation; reloading is held.
func (h *Host) endCanary(c *trial) {
	c.decided.Store(true)
	h.canary = nil
	h.canaryNow.Store(nil)
	h.observer.Follow(nil)
	h.generations.SwapCanary(nil, 0)
	close(c.ended)
}

// recompileCanary makes the generation of the canary anew after the current one has changed, of a new set or, with nil, of its own. A canary that
// does not fit any more is rolled back. reloading is held.
func (h *Host) recompileCanary(ctx context.Context, set *entity.Set) {
	c := h.canary
	if c == nil {
		return
	}
	if set == nil {
		set = c.set
	}
	gen, err := h.compile(ctx, set, h.servers.builds(c.next))
	if err != nil {
		h.rollBack(c, slog.LevelError, fmt.Sprintf("the configuration that is live now does not fit it: %v", err))
		return
	}
	c.set, c.gen = set, gen
	share := c.bounds.Share
	if c.decided.Load() { // what judged it waits for the lock
		share = 0
	}
	h.generations.SwapCanary(gen, share)
	if c.decided.Load() { // perhaps meanwhile
		h.generations.SwapCanary(nil, 0)
	}
}

// DecideCanary promotes the canary of a server, or rolls it back.
func (h *Host) DecideCanary(server string, promote bool) (pluginserver.Replacement, error) {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	if h.servers == nil || h.stopping() {
		return pluginserver.Replacement{}, errStopping
	}
	m := h.servers.madeOf(server)
	if m == nil {
		return pluginserver.Replacement{}, &UnknownServerError{server, h.servers.names()}
	}
	c := h.canary
	if c == nil || c.server != server || c.decided.Load() {
		return pluginserver.Replacement{}, &BusyError{fmt.Sprintf("there is no canary of plugin server %q", server)}
	}
	if !promote {
		h.rollBack(c, telemetry.LevelNotice, "an operator wants it so")
	} else if err := h.promote(c); err != nil {
		h.rollBack(c, slog.LevelError, err.Error())
		return *m.last.Load(), err
	}
	return *m.last.Load(), nil
}

// busy says that a canary is in the way.
func (c *trial) busy() error {
	return &BusyError{fmt.Sprintf("a canary of plugin server %q is under way: promote it or roll it back first", c.server)}
}

// status of a canary.
func (c *trial) status() *pluginserver.Canary {
	verdict, reason := c.watch.Judge(time.Now())
	next, old := c.watch.Counts()
	calls := func(n canary.Counts) pluginserver.Calls {
		return pluginserver.Calls{Calls: n.Calls, Errors: n.Errors, Median: float64(n.Median) / float64(time.Millisecond)}
	}
	return &pluginserver.Canary{
		Build: c.next.Number(), Share: c.bounds.Share, Since: c.since, For: c.bounds.For.Seconds(), MinCalls: c.bounds.MinCalls,
		Verdict: verdict.String(), Reason: reason, New: calls(next), Old: calls(old),
	}
}

// serverStatus is the status of every plugin server, with its replacements.
func (h *Host) serverStatus(servers *servers) []pluginserver.Status {
	list := servers.all.Status()
	for i := range list {
		if m := servers.madeOf(list[i].Server); m != nil {
			list[i].Replacement = m.last.Load()
		}
		if c := h.canaryNow.Load(); c != nil && c.server == list[i].Server {
			list[i].Canary = c.status()
		}
	}
	return list
}
