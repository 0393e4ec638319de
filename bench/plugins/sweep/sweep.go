// Package sweep is a plugin that calls the PDK as often as its configuration says. It shows what PDK calls cost: a plugin that reads more should
// not be slower to a degree that anybody sees.
package sweep

import (
	"strconv"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is the plugin.
var Plugin = pdk.Plugin{Name: "sweep", Version: "0.1.0", Priority: 500, New: func() any { return &sweep{Calls: 1} }}

// sweep makes Calls calls of the PDK in access. Nine of ten read, each tenth sets a header of the upstream request, X-Sweep-<number of the
// call>.
type sweep struct {
	Calls int `json:"calls" schema:"min=1,max=1000"`
}

var headers = []string{"User-Agent", "Accept", "X-Name", "Authorization", "X-Absent"}

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
			if err := k.ServiceRequest.SetHeader("X-Sweep-"+strconv.Itoa(i+1), strconv.Itoa(seen)); err != nil {
				return err
			}
		}
	}
	return nil
}
