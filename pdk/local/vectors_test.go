package local

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/conformance"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// TestVectors runs the vectors on the engine alone. The run through every language and carrier is `make conformance`.
func TestVectors(t *testing.T) {
	all, err := vectors.Load()
	if err != nil {
		t.Fatal(err)
	}
	ran, left := 0, 0
	for _, v := range all {
		if v.Untyped {
			left++
			continue
		}
		ran++
		t.Run(v.ID(), func(t *testing.T) { runVector(t, v) })
	}
	t.Logf("%d vectors; %d left out, which need arguments of wrong types", ran, left)
	if ran < 180 {
		t.Errorf("only %d vectors", ran)
	}
}

// vectorHost answers the questions of one vector and keeps its log lines.
type vectorHost struct {
	*vectors.Asker
	lines []vectors.Line
}

func (h *vectorHost) Ask(a *wire.Ask) wire.Answer { return h.Answer(a) }

func (h *vectorHost) Log(level uint8, message string) {
	h.lines = append(h.lines, vectors.Line{Level: level, Message: message})
}

func runVector(t *testing.T, v *vectors.Vector) {
	call, err := v.Call()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*wire.Entity{call.Route, call.Service, call.Consumer} {
		if e != nil {
			Adopt(e)
		}
	}
	hello := v.Node.Hello()
	node := Node{
		ID: hello.NodeID, Hostname: hello.Hostname, Trusted: v.Node.TrustedCIDRs, LogLevel: hello.LogLevel,
		MaxBody: int(hello.MaxBody), MaxShared: int(hello.MaxShared), ClusterID: hello.ClusterID, Version: hello.GatewayVersion, TelemetryLogs: hello.TelemetryLogs,
	}
	program := conformance.Program{Calls: v.Calls, Together: v.Together}
	var caller *conformance.Caller
	host := &vectorHost{Asker: v.Asker()}
	var run vectors.Run
	handle := func(k *pdk.PDK) error {
		caller = conformance.NewCaller(k)
		run.Results = caller.Run(&program)
		return nil
	}
	phase := pdk.PhaseFromCode(call.Phase)
	h := handlers(phase, handle)
	if phase == pdk.PhaseBodyFilter {
		h.BodyFilter = func(k *pdk.PDK, _ []byte, _ bool) ([]byte, error) {
			value, err := vectors.Value(v.Returns)
			body, _ := value.([]byte)
			_ = handle(k)
			return body, err
		}
	}
	s := Begin(call, &node, host)
	defer s.Release()
	s.Run(h, &run.Outcome)
	run.Late = caller.All(v.Late)
	run.Logs = host.lines
	for _, diff := range append(host.Diffs(), v.Check(&run)...) {
		t.Error(diff)
	}
}
