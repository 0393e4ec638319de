package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// Shutdown ends everything. The gateway is not ready from the first moment on, for those who ask the status listener. For drain_delay it goes on accepting
// connections and ends each with its next response. Then it accepts none, and waits for the requests in flight, at most drain_timeout. It may be called
// again. When ctx ends, it waits for nothing any more.
func (h *Host) Shutdown(ctx context.Context) error { return h.end(ctx, h.delay, h.endRequests) }

// Retire is Shutdown for a gateway whose sockets another process serves by now. Whoever asks the Admin or the status listener hears the other process at
// once. Idle connections are left to bring one more request, at most for drain_timeout.
func (h *Host) Retire(ctx context.Context) error {
	return h.end(ctx, func(context.Context) {}, h.leaveRequests)
}

// end ends everything, beginning with what is before the time limit and what is about requests.
func (h *Host) end(ctx context.Context, before func(context.Context), requests func(drain context.Context) error) error {
	h.ending.Do(func() { close(h.stop) })
	h.shutting.Lock()
	defer h.shutting.Unlock()
	defer h.canaries.Wait()
	h.tasks.Wait()
	h.settled()
	before(ctx)
	drain, cancel := context.WithTimeout(ctx, h.settings.DrainTimeout)
	defer cancel()
	return errors.Join(requests(drain), h.endWatching(drain), h.endPlugins(ctx), h.endUpstreams(drain))
}

// delay gives load balancers the time to notice that the gateway is not ready any more.
func (h *Host) delay(ctx context.Context) {
	if h.http == nil || h.settings.DrainDelay == 0 {
		return
	}
	h.logger.Log(ctx, telemetry.LevelNotice, "the gateway is about to stop: it is not ready, and goes on accepting connections for a while", "drain_delay", h.settings.DrainDelay)
	h.http.Announce()
	timer := time.NewTimer(h.settings.DrainDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// endRequests answers the requests that have begun. Whoever asks the Admin or the status listener meanwhile hears that the gateway stops.
func (h *Host) endRequests(drain context.Context) error {
	return errors.Join(h.endProxy(drain), h.endOperators(drain), h.endLogs())
}

// idleCloseTime is how long idle connections have to end when the time is up in which they could have brought a request.
const idleCloseTime = time.Second

// leaveRequests answers what connections bring that are open already.
func (h *Host) leaveRequests(drain context.Context) error {
	if h.echo != nil {
		h.echo.Leave()
	}
	err := h.endOperators(drain)
	if h.http == nil {
		return errors.Join(err, h.endLogs())
	}
	h.http.Leave(drain)
	last := drain
	if !errors.Is(drain.Err(), context.Canceled) { // nobody hurries
		var cancel context.CancelFunc
		last, cancel = context.WithTimeout(context.WithoutCancel(drain), idleCloseTime)
		defer cancel()
	}
	return errors.Join(err, h.endProxy(last), h.endLogs())
}

// endProxy accepts no more connections, closes idle ones and waits for the requests in flight.
func (h *Host) endProxy(drain context.Context) error {
	if h.http == nil {
		return nil
	}
	err := h.http.Shutdown(drain)
	h.http = nil
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("requests in flight were cut: they were not over within drain_timeout, %s: %w", h.settings.DrainTimeout, context.DeadlineExceeded)
	}
	return wrap("waiting for requests in flight", err)
}

// endOperators answers nobody any more who asks for the status or gives orders.
func (h *Host) endOperators(drain context.Context) error {
	var errs []error
	if h.admin != nil {
		errs = append(errs, wrap("stopping the Admin listener", h.admin.Shutdown(drain)))
		h.admin = nil
	}
	if h.sight.status != nil {
		errs = append(errs, wrap("stopping the status listener", h.sight.status.Shutdown(drain)))
		h.sight.status = nil
	}
	return errors.Join(errs...)
}

// endLogs runs the log phases that wait.
func (h *Host) endLogs() error {
	if h.proxy != nil {
		h.proxy.Close()
		h.proxy = nil
	}
	return nil
}
