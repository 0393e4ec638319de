package metrics

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func instance(plugin string) *plan.Instance {
	return &plan.Instance{Record: &entity.Plugin{Name: plugin, ID: "r"}, Server: "py", Meters: new(atomic.Value)}
}

func call(in *plan.Instance, code dispatch.Code) *dispatch.Call {
	return &dispatch.Call{
		Instance: in, Phase: pdk.PhaseAccess, Code: code, Duration: 3 * time.Millisecond, Asks: 2,
		Request: &wire.Call{Traffic: wire.Traffic{Sent: 300, Received: 20}}, Outcome: &wire.Outcome{},
	}
}

func status() Status {
	return Status{
		Generation: 3, Hash: "abc", LogsDropped: 4, Connections: Connections{Accepted: 9, Waiting: 2, Most: 9, Delayed: 3, Evicted: 4}, Tracing: true, SpansDropped: 5, Bodies: Bodies{Used: 1024, Most: 4096, Refused: 3}, BlackBox: map[string]uint64{"limited": 7},
		Servers: []pluginserver.Status{{
			State: pluginserver.State{Server: "py", Ready: true, State: "ready"}, InFlight: 1, Shed: 6, Fused: pluginserver.Fused{Calls: 8, Steps: 20},
			Processes: []pluginserver.ProcessStatus{
				{State: "ready", Starts: 2, Lanes: 1, RSSBytes: 1 << 20, OpenFiles: 9}, {Number: 1, State: "down", Starts: 7, Restarts: 6, Recycled: 1},
			},
			Build: 2, Canary: &pluginserver.Canary{Share: 0.05},
			Budgets: []budget.Status{
				{InFlight: 3, Waiting: 2}, {Plugin: "hello", Record: "a", InFlight: 1, Refused: 4, Breaker: "open", Opened: 2}, {Plugin: "hello", Record: "b", InFlight: 1, Breaker: "closed"},
			},
		}},
	}
}

func TestText(t *testing.T) {
	m := New("1.2.3", status)
	in := instance("hello")
	for _, code := range []dispatch.Code{dispatch.OK, dispatch.OK, dispatch.Timeout} {
		c := call(in, code)
		c.FailedOpen = code != dispatch.OK
		c.Sent, c.Request.Prefetched, c.Outcome.Unused = true, make([]wire.Prefetched, 3), 1<<2
		if err := m.Calls.Before(c); err != nil {
			t.Fatal(err)
		}
		m.Calls.After(c)
	}
	m.Requests.Done(204, 3*time.Millisecond, time.Millisecond)
	m.Requests.Done(0, time.Second, 0)
	text, contentType, err := m.Text()
	if err != nil || !strings.HasPrefix(contentType, "text/plain; version=0.0.4") {
		t.Fatalf("%q, %v", contentType, err)
	}
	for _, line := range []string{
		`outrigger_build_info{version="1.2.3"} 1`,
		`outrigger_plugin_calls_total{code="ok",phase="access",plugin="hello",server="py"} 2`,
		`outrigger_plugin_calls_total{code="timeout",phase="access",plugin="hello",server="py"} 1`,
		`outrigger_plugin_failed_open_total{phase="access",plugin="hello",server="py"} 1`,
		`outrigger_plugin_call_duration_seconds_bucket{phase="access",plugin="hello",server="py",le="0.0025"} 0`,
		`outrigger_plugin_call_duration_seconds_bucket{phase="access",plugin="hello",server="py",le="0.005"} 3`,
		`outrigger_plugin_sent_bytes_total{phase="access",plugin="hello",server="py"} 900`,
		`outrigger_plugin_received_bytes_total{phase="access",plugin="hello",server="py"} 60`,
		`outrigger_plugin_host_calls_total{phase="access",plugin="hello",server="py"} 6`,
		`outrigger_plugin_prefetched_answers_total{phase="access",plugin="hello",result="used",server="py"} 4`,
		`outrigger_plugin_prefetched_answers_total{phase="access",plugin="hello",result="unused",server="py"} 2`,
		`outrigger_plugin_prefetched_answers_total{phase="access",plugin="hello",result="unknown",server="py"} 3`,
		`outrigger_requests_total{code="2xx"} 1`,
		`outrigger_requests_total{code="other"} 1`,
		`outrigger_upstream_duration_seconds_count 1`,
		`outrigger_generation_number 3`,
		`outrigger_generation_info{hash="abc"} 1`,
		`outrigger_log_phases_dropped_total 4`, `outrigger_black_box_calls_total{result="limited"} 7`,
		`outrigger_connections{state="waiting"} 2`,
		`outrigger_connections_limit 9`, `outrigger_connections_delayed_total 3`, `outrigger_connections_evicted_total 4`,
		`outrigger_spans_dropped_total 5`,
		`outrigger_bodies_in_memory_bytes 1024`, `outrigger_bodies_in_memory_limit_bytes 4096`, `outrigger_bodies_in_memory_refused_total 3`,
		`outrigger_plugin_server_up{server="py"} 1`,
		`outrigger_plugin_server_shed_total{server="py"} 6`,
		`outrigger_fused_calls_total{server="py"} 8`, `outrigger_fused_steps_total{server="py"} 20`,
		`outrigger_plugin_process_up{process="1",server="py"} 0`,
		`outrigger_plugin_process_restarts_total{process="1",server="py"} 6`,
		`outrigger_plugin_process_recycled_total{process="1",server="py"} 1`,
		`outrigger_plugin_process_resident_memory_bytes{process="0",server="py"} 1.048576e+06`,
		`outrigger_plugin_process_open_fds{process="0",server="py"} 9`,
		`outrigger_plugin_server_build{server="py"} 2`,
		`outrigger_plugin_server_canary_ratio{server="py"} 0.05`,
		`outrigger_plugin_budget_waiting{plugin="",server="py"} 2`,
		`outrigger_plugin_budget_in_flight{plugin="hello",server="py"} 2`,
		`outrigger_plugin_budget_refused_total{plugin="hello",server="py"} 4`,
		`outrigger_plugin_breaker_open{plugin="hello",server="py"} 1`,
		`outrigger_plugin_breaker_opened_total{plugin="hello",server="py"} 2`,
		`outrigger_plugin_process_starts_total{process="1",server="py"} 7`,
	} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
	if !strings.Contains(string(text), "\ngo_goroutines ") {
		t.Error("the metrics of the Go runtime are missing")
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "outrigger_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// Records of one plugin share their series: labels are bounded by the plugins and servers of the configuration.
func TestCardinality(t *testing.T) {
	m := New("1", status)
	count := func() int {
		text, _, err := m.Text()
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte("outrigger_plugin_"))
	}
	m.Calls.After(call(instance("hello"), dispatch.OK))
	before := count()
	for range 100 {
		m.Calls.After(call(instance("hello"), dispatch.OK))
	}
	if after := count(); after != before {
		t.Errorf("%d lines of calls became %d", before, after)
	}
}

func TestCallsDoNotAllocate(t *testing.T) {
	m := newCalls()
	c := call(instance("hello"), dispatch.OK)
	m.After(c)
	if n := testing.AllocsPerRun(1000, func() { _ = m.Before(c); m.Asked(c, nil, nil); m.After(c) }); n != 0 {
		t.Errorf("%v allocations for a call", n)
	}
	r := newRequests()
	if n := testing.AllocsPerRun(1000, func() { r.Done(200, time.Millisecond, time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations for a request", n)
	}
}

func BenchmarkCall(b *testing.B) {
	m := newCalls()
	c := call(instance("hello"), dispatch.OK)
	b.ReportAllocs()
	for b.Loop() {
		_ = m.Before(c)
		m.After(c)
	}
}
