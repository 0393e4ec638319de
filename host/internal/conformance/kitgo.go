package conformance

import (
	"context"

	driver "github.com/outrigger-gateway/outrigger/pdk/conformance"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// goKit runs the Go driver with package pdktest.
type goKit struct{ reports *reports }

func (*goKit) name() string                 { return "kit/go" }
func (*goKit) typed() bool                  { return true }
func (*goKit) settle(context.Context) error { return nil }

func (k *goKit) run(ctx context.Context, v *vectors.Vector) (*vectors.Run, []error) {
	call, err := v.Call()
	if err != nil {
		return nil, []error{err}
	}
	report := k.reports.expect()
	defer report.forget()
	x := pdktest.New(pdktest.Request{})
	x.Node = nodeOf(v)
	asker := v.Asker()
	x.Script = func(question *wire.Ask) *wire.Answer {
		answer := asker.Answer(question)
		return &answer
	}
	if err := x.Use(driver.Plugin, string(report.config(v))); err != nil {
		return nil, []error{err}
	}
	run := &vectors.Run{Outcome: x.Call(call)}
	for _, l := range x.Log() {
		run.Logs = append(run.Logs, vectors.Line{Level: l.Level, Message: l.Message})
	}
	err = report.collect(ctx, v, run)
	return run, append(asker.Diffs(), errorList(err)...)
}
