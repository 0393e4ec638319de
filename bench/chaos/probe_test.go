package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/probe"
)

// lateEnd is the Admin listener of a gateway whose plugin server is away at first, dies once more a little later, and then stays.
type lateEnd struct {
	mu      sync.Mutex
	asked   int // for the status
	smaller int // how often a gateway without its plugin server was measured
}

func (e *lateEnd) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if q.URL.Path == "/status" {
		e.asked++
		// Asked before and after each second: away and back; back and started anew; there all the time.
		starts := []int{1, 2, 2, 3, 3, 3}[min(e.asked, 6)-1]
		_, _ = fmt.Fprintf(w, `{"plugin_servers":[{"ready":%t,"processes":[{"pid":1,"starts":%d}]}]}`, e.asked > 1, starts)
		return
	}
	goroutines := 40
	if e.asked < 5 {
		goroutines = 20
		e.smaller++
	}
	_, _ = fmt.Fprintf(w, "go_goroutines %d\ngo_memstats_heap_alloc_bytes 1048576\n", goroutines)
}

// What a fault is compared with is measured while the plugin server is there.
func TestRestIsMeasuredWithThePluginServer(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "chaos") // short: paths of sockets are
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	gateway := &lateEnd{}
	socket := filepath.Join(dir, "admin.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(gateway)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{mark: t.Name(), cmd: &exec.Cmd{Process: self}, gateway: admin{probe.NewAdmin(socket, 10*time.Second)}}
	f, err := s.rest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f.Goroutines != 40 || gateway.smaller == 0 {
		t.Errorf("found %d goroutines after %d measures of a smaller gateway, expected 40 and some", f.Goroutines, gateway.smaller)
	}
}
