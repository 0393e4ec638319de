// Package sweep is a plugin that calls the PDK as often as its configuration says. It shows what PDK calls cost: a plugin that reads more should
// not be slower to a degree that anybody sees.
package sweep

import (
	"errors"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is the plugin.
var Plugin = pdk.Plugin{Name: "sweep", Version: "0.1.0", Priority: 500, New: func() any { return &sweep{Calls: 1} }}

// sweep makes Calls calls of the PDK in access. Nine of ten read, each tenth sets a header of the upstream request: X-Sweep-10,
// X-Sweep-20, X-Sweep-30 and again from the start.
type sweep struct {
	Calls int `json:"calls" schema:"min=1,max=1000"`
}

var (
	headers = []string{"User-Agent", "Accept", "X-Name", "Authorization", "X-Absent"}
	set     = []string{"X-Sweep-10", "X-Sweep-20", "X-Sweep-30"}
)

// Access makes the calls.
func (in *sweep) Access(k *pdk.PDK) error {
	seen := 0
	for i := range in.Calls {
		switch i % 10 {
		case 0, 1, 2, 3, 4:
			value, _ := k.Request.GetHeader(headers[i%10])
			seen += len(value)
		case 5:
			seen += len(k.Request.GetMethod())
		case 6:
			seen += len(k.Request.GetPath())
		case 7:
			arg, _ := k.Request.GetQueryArg("page")
			seen += len(arg.Text)
		case 8:
			seen += len(k.Client.GetIP())
		case 9:
			if err := k.ServiceRequest.SetHeader(set[i/10%len(set)], "set"); err != nil {
				return err
			}
		}
	}
	if seen == 0 {
		return errors.New("no call of the PDK returned anything")
	}
	return nil
}
