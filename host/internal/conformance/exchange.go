package conformance

import (
	"fmt"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// still is a message whose facts are all there: those of the vector.
type still struct{}

func (still) LoadRequest(*wire.Facts)       {}
func (still) LoadResponse(*wire.Facts)      {}
func (still) RequestBody() ([]byte, error)  { return nil, nil }
func (still) ResponseBody() ([]byte, error) { return nil, nil }
func (still) UpstreamURI() string           { return "/" }

// directory knows nobody, and every upstream.
type directory struct{}

func (directory) Consumer(string, bool) (*entity.Consumer, *wire.Entity) { return nil, nil }
func (directory) Credential(string, string) (*wire.Entity, error)        { return nil, nil }
func (directory) Upstream(name string) *entity.Upstream                  { return &entity.Upstream{Name: name} }

// accepted applies the operations of a run to an exchange as the host does, and says what the host refuses of them.
func accepted(v *vectors.Vector, run *vectors.Run) []error {
	if run.Outcome.Err != nil {
		return nil
	}
	call, err := v.Call()
	if err != nil {
		return []error{err}
	}
	hello := v.Node.Hello()
	plans, err := plan.Compile(plan.Options{}, nil, nil, nil)
	if err != nil {
		return []error{err}
	}
	ex := &exchange.Exchange{Facts: *call.Facts, Live: still{}, Dir: directory{}, Plan: plans.ForRoute(nil, false)}
	ex.NeedRequest()
	ex.NeedResponse()
	by := exchange.Applier{
		Phase: pdk.PhaseFromCode(call.Phase), MayAuthenticate: true, MaxBody: int(hello.MaxBody), MaxShared: int(hello.MaxShared),
	}
	if err := ex.Apply(by, run.Outcome.Ops); err != nil {
		return []error{fmt.Errorf("the host refuses the operations: %w", err)}
	}
	return nil
}
