package replay

import (
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Bounds of a gateway with its usual settings.
const (
	maxBody   = 8 << 20
	maxShared = 64 << 10
)

// still is a message whose facts are all there.
type still struct{}

func (still) LoadRequest(*wire.Facts)       {}
func (still) LoadResponse(*wire.Facts)      {}
func (still) RequestBody() ([]byte, error)  { return nil, nil }
func (still) ResponseBody() ([]byte, error) { return nil, nil }
func (still) UpstreamURI() string           { return "/" }

// directory knows every consumer and every upstream: the gateway of the recording is not here to be asked.
type directory struct{}

func (directory) Consumer(id string, _ bool) (*entity.Consumer, *wire.Entity) {
	doc, err := wire.NewEntity(map[string]any{"id": id})
	if err != nil {
		return nil, nil
	}
	return &entity.Consumer{ID: id}, doc
}
func (directory) Credential(string, string) (*wire.Entity, error) { return nil, nil }
func (directory) Upstream(name string) *entity.Upstream           { return &entity.Upstream{Name: name} }

// accept says what the gateway refuses of the operations of an outcome. It changes the facts of the call.
func accept(call *wire.Call, ops []wire.Op, mayAuthenticate bool) error {
	plans, err := plan.Compile(plan.Options{}, nil, nil, nil)
	if err != nil {
		return err
	}
	ex := &exchange.Exchange{Facts: *call.Facts, Live: still{}, Dir: directory{}, Plan: plans.ForRoute(nil, false)}
	ex.NeedRequest()
	ex.NeedResponse()
	in := &plan.Instance{ID: call.Instance, Record: &entity.Plugin{ID: call.PluginID}}
	return ex.Apply(exchange.Applier{
		Instance: in, Phase: pdk.PhaseFromCode(call.Phase), MayAuthenticate: mayAuthenticate, MaxBody: maxBody, MaxShared: maxShared,
	}, ops)
}
