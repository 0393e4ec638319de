package server

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outrigger-gateway/outrigger/pdk"
	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
)

// A call finds the instance of its id while another one takes its place, again and again.
func TestReplacedInstanceIsAlwaysFound(t *testing.T) {
	var table instances
	table.put(&instance{id: 1})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				in := table.acquire(1)
				if in == nil {
					t.Error("the instance was not found")
					return
				}
				in.release()
			}
		})
	}
	for range 20_000 {
		table.put(&instance{id: 1})
	}
	close(done)
	readers.Wait()
	table.remove(1)
	if table.acquire(1) != nil {
		t.Error("a removed instance was found")
	}
}

// hanging hangs in Configure until its gate opens.
type hanging struct {
	Name string `json:"name"`

	gate   chan struct{}
	closed chan string
}

func (h *hanging) Configure() error {
	if h.Name == "hangs" {
		<-h.gate
	}
	return nil
}

func (h *hanging) Close() error {
	h.closed <- h.Name
	return nil
}

func (h *hanging) Access(*pdk.PDK) error { return nil }

// A configure that hangs holds up its own instance alone. What it makes when nobody waits any more is closed, and a host that asks again and again
// does not fill the process with attempts.
func TestConfigureThatHangs(t *testing.T) {
	gate, closed := make(chan struct{}), make(chan string, 16)
	p := pdk.Plugin{Name: "hanging", Version: "1", New: func() any { return &hanging{gate: gate, closed: closed} }}
	f := start(t, "msgpack", p)
	configure := func(id uint64, name string, wait time.Duration) codes.Code {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		_, err := f.client.Configure(ctx, &pluginv1.ConfigureRequest{InstanceId: id, Plugin: "hanging", Config: []byte(`{"name":"` + name + `"}`)})
		return status.Code(err)
	}
	const short = 50 * time.Millisecond
	for range maxHanging {
		if code := configure(1, "hangs", short); code != codes.DeadlineExceeded {
			t.Fatalf("a configure that hangs: %v", code)
		}
	}
	// The last one is counted when the server has heard that nobody waits.
	for end := time.Now().Add(patience); configure(1, "hangs", short) != codes.Unavailable; {
		if time.Now().After(end) {
			t.Fatal("attempts are begun without end")
		}
	}
	if code := configure(2, "well", patience); code != codes.OK {
		t.Fatalf("another instance: %v", code)
	}
	close(gate)
	for range maxHanging {
		select {
		case name := <-closed:
			if name != "hangs" {
				t.Errorf("%s was closed", name)
			}
		case <-time.After(patience):
			t.Fatal("an instance that nobody waits for is not closed")
		}
	}
	if code := configure(1, "hangs", patience); code != codes.OK {
		t.Errorf("when it does not hang any more: %v", code)
	}
}
