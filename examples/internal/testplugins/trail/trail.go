// Package trail has plugins that leave in every phase which record of them has run, natively and in a plugin server. The static order is that of
// their numbers; numbers 5 and 6 are written in Python and JavaScript. See README.md beside this directory.
package trail

import (
	"fmt"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Native lists the plugins that run in the gateway, Served those of the plugin server.
func Native() []pdk.Plugin {
	return []pdk.Plugin{plugin(1, "native", 2000), plugin(3, "native", 1000), plugin(7, "native", 500)}
}

// Served lists the plugins of the plugin server.
func Served() []pdk.Plugin {
	return []pdk.Plugin{plugin(2, "go", 1900), plugin(4, "go", 990), plugin(8, "go", 490)}
}

func plugin(number int, where string, priority int) pdk.Plugin {
	return pdk.Plugin{
		Name: fmt.Sprintf("trail-%d-%s", number, where), Version: "0.1.0", Priority: priority,
		New: func() any { return &trail{number: number} },
	}
}

// trail is one record: which configuration it is of, and for whom.
type trail struct {
	number int
	Mark   string `json:"mark"`
	Of     string `json:"of"`
}

// step is what the record leaves: number/of@mark.
func (t *trail) step() string { return fmt.Sprintf("%d/%s@%s", t.number, t.Of, t.Mark) }

func (t *trail) Rewrite(k *pdk.PDK) error {
	return k.ServiceRequest.AddHeader("X-Trail-Rewrite", t.step())
}

func (t *trail) Access(k *pdk.PDK) error {
	if _, held := k.Request.GetHeader("X-Trail-Held"); held { // the walk goes on when the client has sent its body
		if _, err := k.Request.GetRawBody(); err != nil {
			return err
		}
	}
	return k.ServiceRequest.AddHeader("X-Trail-Access", t.step())
}

func (t *trail) HeaderFilter(k *pdk.PDK) error { return k.Response.AddHeader("X-Trail", t.step()) }

func (t *trail) BodyFilter(_ *pdk.PDK, chunk []byte, last bool) ([]byte, error) {
	if !last {
		return nil, nil
	}
	return fmt.Appendf(chunk, "\n%s", t.step()), nil
}

func (t *trail) Log(k *pdk.PDK) error {
	if request, ok := k.Request.GetHeader("X-Trail-Log"); ok {
		k.Log.Notice("trail ", request, " ", t.step())
	}
	return nil
}
