package exchange

import (
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// What waits for the log phase counts, whoever made it large, and is given back.
func TestWhatWaitsForTheLogPhaseCounts(t *testing.T) {
	const large = 10 << 10
	text := strings.Repeat("x", large)
	header := []wire.Header{{Name: "X", Value: text}}
	in := &plan.Instance{}
	for name, grow := range map[string]func(e *Exchange){
		"request header": func(e *Exchange) { e.NeedRequest(); e.Facts.Request.Headers = header },
		"response header": func(e *Exchange) {
			e.Facts.HasResponse, e.responseLoaded = true, true
			e.Facts.Response.Headers = header
		},
		"ctx.shared": func(e *Exchange) { e.Facts.Shared = []wire.SharedValue{{Key: "k", Value: []byte(text)}} },
		"ctx.plugin": func(e *Exchange) { e.setPrivate(in, "k", []byte(text)) },
		"serialized": func(e *Exchange) { e.serializedBytes = large },
	} {
		b := budget.NewBytes(2 * large)
		e := &Exchange{Live: &live{}, Dir: directory{}, Bodies: b}
		grow(e)
		d, more := e.Detach(), e.Detach()
		if err := d.HoldLog(); err != nil || b.Used() < large {
			t.Errorf("%s: %d bytes are held, %v", name, b.Used(), err)
		}
		if more.HoldLog() == nil {
			t.Errorf("%s: a second one has room in %d bytes", name, b.Most())
		}
		d.DropAll()
		more.DropAll()
		if b.Used() != 0 {
			t.Errorf("%s: %d bytes are left", name, b.Used())
		}
	}
}
