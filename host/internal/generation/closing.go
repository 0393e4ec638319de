package generation

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// OnCloseError sets what is told when the Close of a native plugin fails or panics, at any time and on any goroutine. It is set before the first
// Build.
func (b *Builder) OnCloseError(f func(in *plan.Instance, err error)) { b.closeFailed = f }

// Closed waits until the Close methods of native plugins have returned that were begun until now.
func (b *Builder) Closed(ctx context.Context) error { return b.closing.wait(ctx) }

// startClose runs the Close of a native plugin on a goroutine of its own: it may take long, and the caller answers a request.
func (b *Builder) startClose(in *plan.Instance) {
	b.closing.up()
	go func() {
		defer b.closing.down()
		if err := closeNative(in); err != nil && b.closeFailed != nil {
			b.closeFailed(in, err)
		}
	}()
}

// closeNative runs the Close of a native plugin. A panic would end the gateway: it is an error. What the plugin says is kept as text, as in
// makeNative, and without secrets.
func closeNative(in *plan.Instance) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.New(in.Record.Redact(fmt.Sprintf("the plugin panicked: %v\n%s", v, debug.Stack())))
		}
	}()
	if err := in.Native.Close(); err != nil {
		return errors.New(in.Record.Redact(err.Error()))
	}
	return nil
}

// closing counts the Close methods that run. Unlike a sync.WaitGroup it may rise again while somebody waits.
type closing struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when n is 0 again; made when it rises from 0
}

func (c *closing) up() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n++; c.n == 1 {
		c.none = make(chan struct{})
	}
}

func (c *closing) down() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 {
		close(c.none)
	}
}

func (c *closing) wait(ctx context.Context) error {
	c.mu.Lock()
	n, none := c.n, c.none
	c.mu.Unlock()
	if n == 0 {
		return nil
	}
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("%d instances have not closed: %w", c.n, ctx.Err())
	}
}
