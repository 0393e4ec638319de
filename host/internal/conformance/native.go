package conformance

import (
	"context"
	"fmt"
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
	driver "github.com/outrigger-gateway/outrigger/pdk/conformance"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/pdk/schema"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// native runs the Go driver inside this process, as package dispatch runs a native plugin.
type native struct{ reports *reports }

func (*native) name() string                 { return "native" }
func (*native) typed() bool                  { return true }
func (*native) settle(context.Context) error { return nil }

// nativeHost answers questions and takes log lines.
type nativeHost struct {
	*vectors.Asker
	lines []vectors.Line
}

func (h *nativeHost) Ask(a *wire.Ask) wire.Answer { return h.Answer(a) }

func (h *nativeHost) Log(level uint8, message string) {
	h.lines = append(h.lines, vectors.Line{Level: level, Message: message})
}

func (n *native) run(ctx context.Context, v *vectors.Vector) (*vectors.Run, []error) {
	call, err := v.Call()
	if err != nil {
		return nil, []error{err}
	}
	for _, e := range []*wire.Entity{call.Route, call.Service, call.Consumer} {
		if e != nil {
			local.Adopt(e)
		}
	}
	report := n.reports.expect()
	defer report.forget()
	handlers, err := instance(driver.Plugin, report.config(v))
	if err != nil {
		return nil, []error{err}
	}
	host := &nativeHost{Asker: v.Asker()}
	run := &vectors.Run{}
	s := local.Begin(call, nodeOf(v), host)
	s.Run(handlers, &run.Outcome)
	run.Outcome.Ops = copyOps(run.Outcome.Ops)
	s.Release()
	err = report.collect(ctx, v, run)
	run.Logs = host.lines
	return run, append(host.Diffs(), errorList(err)...)
}

// instance makes an instance of a plugin as a generation does.
func instance(p pdk.Plugin, config []byte) (*pdk.Handlers, error) {
	value := p.New()
	if err := schema.Decode(value, config); err != nil {
		return nil, fmt.Errorf("plugin %q: %w", p.Name, err)
	}
	h, err := pdk.HandlersOf(value)
	if err == nil && h.Configure != nil {
		err = h.Configure()
	}
	if err != nil {
		return nil, fmt.Errorf("plugin %q: %w", p.Name, err)
	}
	return &h, nil
}

// nodeOf is the node of a vector for the engine.
func nodeOf(v *vectors.Vector) *local.Node {
	hello := v.Node.Hello()
	return &local.Node{
		ID: hello.NodeID, Hostname: hello.Hostname, Trusted: v.Node.TrustedCIDRs, LogLevel: hello.LogLevel,
		MaxBody: int(hello.MaxBody), MaxShared: int(hello.MaxShared), ClusterID: hello.ClusterID, Version: hello.GatewayVersion, TelemetryLogs: hello.TelemetryLogs,
	}
}

// copyOps copies operations out of the memory of a session.
func copyOps(ops []wire.Op) []wire.Op {
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Values, ops[i].Headers = slices.Clone(ops[i].Values), slices.Clone(ops[i].Headers)
	}
	return ops
}

func errorList(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}
