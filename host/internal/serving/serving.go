// Package serving runs HTTP servers on listeners until they are shut down, whenever that comes.
package serving

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/valyala/fasthttp"
)

// Listeners are those of one server. The zero value has none; several goroutines may use it at once.
type Listeners struct {
	running sync.WaitGroup
	mu      sync.Mutex
	all     []net.Listener
}

// Serve runs serve, which accepts connections from ln until the server is shut down. It returns at once.
func (l *Listeners) Serve(ln net.Listener, serve func()) {
	l.mu.Lock()
	l.all = append(l.all, ln)
	l.mu.Unlock()
	l.running.Go(serve)
}

// Close closes the listeners and returns when nothing accepts connections any more. Those that were accepted go on.
func (l *Listeners) Close() {
	l.closeAll()
	l.running.Wait()
}

func (l *Listeners) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ln := range l.all {
		_ = ln.Close()
	}
}

// Shutdown ends the server: it closes the listeners and waits for the requests in flight, at most until ctx ends.
func (l *Listeners) Shutdown(ctx context.Context, server *fasthttp.Server) error {
	err := server.ShutdownWithContext(ctx)
	l.closeAll() // fasthttp does not know of one whose Serve has only just begun
	l.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil // after Close
	}
	return err
}
