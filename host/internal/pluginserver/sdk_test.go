package pluginserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/server"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// sdkKey makes the test binary a plugin server that is written with the Go SDK.
const sdkKey = "SDK_SERVER"

// greeter is a plugin as an author writes it.
type greeter struct {
	Greeting string `json:"greeting" schema:"required,minlen=1"`
}

func (g *greeter) Access(k *pdk.PDK) error {
	name, _ := k.Request.GetHeader("X-Name")
	k.Log.Notice("greeting ", name)
	fmt.Println("printed by the plugin")
	if name == "die" {
		os.Exit(1)
	}
	return k.Response.SetHeader("X-Greeting", g.Greeting+", "+name)
}

func sdkMain() {
	server.Serve(pdk.Plugin{Name: "greeter", Version: "1.0.0", Priority: 10, New: func() any { return &greeter{} }})
}

// A server of the Go SDK works with this host: managed and attached, over both carriers.
func TestServerOfTheGoSDK(t *testing.T) {
	for _, kind := range []string{"managed", "attached"} {
		managed := kind == "managed"
		t.Run(kind, func(t *testing.T) {
			carriers(t, func(t *testing.T, carrier string) {
				w := newWorld(t)
				logged := make(chan transport.LogRecord, 64)
				w.opts.OnPluginLog = func(_ string, rec transport.LogRecord) { logged <- rec }
				env := map[string]string{sdkKey: "1", "GORACE": quick}
				cfg := Config{Name: "sdk", Command: []string{os.Args[0]}, Env: env, Carrier: carrier}
				if !managed {
					path := filepath.Join(shortDir(t), "sdk.sock")
					spawnWith(t, env, "--listen", "unix://"+path)
					cfg.Command, cfg.Addresses = nil, []string{"unix://" + path}
				}
				w.mustStart(cfg)
				if m := w.Manifests(); len(m) != 1 || m[0].Name != "greeter" || m[0].Phases[0] != "access" || !strings.Contains(string(m[0].Schema), "greeting") {
					t.Errorf("manifests %+v", m)
				}
				s := w.Server("sdk")
				var refused *ConfigError
				if err := s.Configure(t.Context(), Instance{ID: 1, Plugin: "greeter", Config: []byte(`{"greeting":7}`)}); !errors.As(err, &refused) {
					t.Errorf("a wrong configuration: %v", err)
				}
				if err := s.Configure(t.Context(), Instance{ID: 1, Plugin: "no-such", Config: []byte(`{}`)}); !errors.As(err, &refused) {
					t.Errorf("an unknown plugin: %v", err)
				}
				for id, greeting := range map[uint64]string{2: "hello", 3: "good day"} {
					if err := s.Configure(t.Context(), Instance{ID: id, Plugin: "greeter", Config: []byte(`{"greeting":"` + greeting + `"}`)}); err != nil {
						t.Fatal(err)
					}
				}
				wantGreeting(t, s, 2, "hello, you")
				wantGreeting(t, s, 3, "good day, you")
				if rec := <-logged; rec.Message != "greeting you" || rec.RequestID == "" {
					t.Errorf("log record %+v", rec)
				}
				if !managed {
					return
				}
				eventually(t, "what the plugin prints", func() bool { return w.log.has("printed by the plugin") })
				pid := w.pids("sdk")[0]
				if _, err := greet(s, 2, "die"); err == nil {
					t.Error("a call of a server that dies succeeds")
				}
				eventually(t, "a new process", func() bool { p := w.pids("sdk"); return len(p) == 1 && p[0] != pid })
				wantGreeting(t, s, 2, "hello, you")
				kill(t, w.pids("sdk")[0], syscall.SIGTERM)
				eventually(t, "a third process", func() bool { return s.Status().Processes[0].Starts == 3 && w.ready("sdk") })
				wantGreeting(t, s, 3, "good day, you")
			})
		})
	}
}

func greet(s *Server, id uint64, name string) (string, error) {
	c := &wire.Call{Instance: id, Phase: 2, TimeoutMS: uint32(patience.Milliseconds()), Facts: &wire.Facts{
		RequestID: "0123456789abcdef0123456789abcdef",
		Request: wire.Request{
			Method: "GET", Scheme: "http", Host: "h", Port: 80, HTTPVersion: 11, Target: "/", Path: "/",
			Headers: []wire.Header{{Name: "X-Name", Value: name}},
		},
		Client: wire.Client{IP: "127.0.0.1", ForwardedIP: "127.0.0.1"},
	}}
	var out wire.Outcome
	if err := s.Call(c, time.Now().Add(patience), noAsks{}, &out); err != nil {
		return "", err
	}
	if out.Err != nil {
		return "", out.Err
	}
	if len(out.Ops) != 1 || out.Ops[0].Code != wire.OpResponseSetHeader || len(out.Ops[0].Values) != 1 {
		return "", fmt.Errorf("operations %+v", out.Ops)
	}
	return out.Ops[0].Values[0], nil
}

func wantGreeting(t *testing.T, s *Server, id uint64, want string) {
	t.Helper()
	if got, err := greet(s, id, "you"); err != nil || got != want {
		t.Errorf("instance %d greets %q, %v; want %q", id, got, err, want)
	}
}
