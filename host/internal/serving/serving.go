// Package serving runs HTTP servers on listeners until they are shut down, whenever that comes.
package serving

import (
	"context"
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

// Shutdown ends the server: it closes the listeners and waits for the requests in flight, at most until ctx ends.
func (l *Listeners) Shutdown(ctx context.Context, server *fasthttp.Server) error {
	err := server.ShutdownWithContext(ctx)
	l.mu.Lock()
	for _, ln := range l.all {
		_ = ln.Close() // fasthttp does not know of one whose Serve has only just begun
	}
	l.mu.Unlock()
	l.running.Wait()
	return err
}
