package pluginserver

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
)

// logged starts a server of the Go SDK and makes a call of it, whose handler logs one line.
func (w *world) logged(carrier string, managed bool, drain time.Duration) {
	w.t.Helper()
	env := map[string]string{sdkKey: "1", "GORACE": quick}
	cfg := Config{Name: "sdk", Command: []string{os.Args[0]}, Env: env, Carrier: carrier, StartTimeout: 15 * time.Second, DrainTimeout: drain}
	if !managed {
		path := filepath.Join(shortDir(w.t), "sdk.sock")
		spawnWith(w.t, env, "--listen", "unix://"+path)
		cfg.Command, cfg.Addresses = nil, []string{"unix://" + path}
	}
	w.mustStart(cfg)
	if err := w.Server("sdk").Configure(w.t.Context(), Instance{ID: 1, Plugin: "greeter", Config: []byte(`{"greeting":"hello"}`)}); err != nil {
		w.t.Fatal(err)
	}
	wantGreeting(w.t, w.Server("sdk"), 1, "hello, you")
}

// What a handler has logged is written before the end, also by a logger that is slow.
func TestShutdownWaitsForTheLastLines(t *testing.T) {
	for _, kind := range []string{"managed", "attached"} {
		t.Run(kind, func(t *testing.T) {
			carriers(t, func(t *testing.T, carrier string) {
				w := newWorld(t)
				ended := make(chan struct{})
				var written atomic.Int32
				w.opts.OnPluginLog = func(string, transport.LogRecord) {
					select { // long enough for an end that does not wait
					case <-ended:
					case <-time.After(300 * time.Millisecond):
					}
					written.Add(1)
				}
				w.logged(carrier, kind == "managed", patience)
				w.shutdown()
				n := written.Load()
				close(ended)
				if n != 1 {
					t.Errorf("%d lines are written at the end, expected 1", n)
				}
			})
		})
	}
}

// A logger that hangs does not keep the host from ending: not for longer than DrainTimeout, and no longer than somebody waits for the end.
func TestShutdownDoesNotWaitForALoggerThatHangs(t *testing.T) {
	for name, c := range map[string]struct {
		drain   time.Duration
		hurries bool
	}{"time is up": {time.Millisecond, false}, "somebody hurries": {time.Hour, true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			hangs, released := make(chan struct{}), make(chan struct{})
			defer close(released)
			w.opts.OnPluginLog = func(string, transport.LogRecord) { close(hangs); <-released }
			w.logged(CarrierMsgpack, false, c.drain)
			<-hangs
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- w.Shutdown(ctx) }()
			if c.hurries {
				cancel()
			}
			select {
			case err := <-ended:
				if (err != nil) != c.hurries {
					t.Errorf("shutdown: %v", err)
				}
			case <-time.After(patience):
				t.Fatalf("the end takes more than %v", patience)
			}
		})
	}
}
