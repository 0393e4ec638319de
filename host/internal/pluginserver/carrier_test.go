package pluginserver

import (
	"os"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// A lane beside those of the settings reaches the same instances, over either carrier and with a hello of its own.
func TestSideLane(t *testing.T) {
	w := newWorld(t)
	w.mustStart(Config{Name: "sdk", Command: []string{os.Args[0]}, Env: map[string]string{sdkKey: "1", "GORACE": quick}})
	s := w.Server("sdk")
	if err := s.Configure(t.Context(), Instance{ID: 1, Plugin: "greeter", Config: []byte(`{"greeting":"hello"}`)}); err != nil {
		t.Fatal(err)
	}
	for _, carrier := range []string{CarrierMsgpack, CarrierGRPC} {
		for level := range uint8(4) {
			lines := make(chan transport.LogRecord, 8)
			side, err := s.OpenLane(t.Context(), SideLane{
				Carrier: carrier, Hello: wire.HostHello{Version: wire.Version, LogLevel: level}, OnLog: func(rec transport.LogRecord) { lines <- rec },
			})
			if err != nil {
				t.Fatal(err)
			}
			var out wire.Outcome
			c := &wire.Call{Instance: 1, Phase: 2, TimeoutMS: 20000, Facts: &wire.Facts{Request: wire.Request{Method: "GET", Path: "/", Target: "/"}}}
			if err := side.Call(c, time.Now().Add(patience), noAsks{}, &out); err != nil || out.Err != nil || len(out.Ops) != 1 {
				t.Errorf("%s: %v, outcome %+v", carrier, err, out)
			}
			if level < 3 { // the plugin's line is a notice, level 2
				if rec := <-lines; rec.Message != "greeting " {
					t.Errorf("%s: log record %+v", carrier, rec)
				}
			}
			_ = side.Close("closed", "done")
			if n := len(lines); n > 0 {
				t.Errorf("%s: %d more log records at level %d", carrier, n, level)
			}
		}
	}
}
