// Package correlationid is the plugin correlation-id: it gives each request an id that client, logs and upstream see.
package correlationid

import (
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is correlation-id.
var Plugin = pdk.Plugin{
	Name:     "correlation-id",
	Version:  "0.1.0",
	Priority: 100001,
	New: func() any {
		return &instance{Config: Config{HeaderName: "Kong-Request-ID", Generator: "uuid#counter"}}
	},
}

type instance struct {
	Config
	generate func(*pdk.PDK) string
	shared   string // key in ctx.shared that carries the id from Access to HeaderFilter
}

// Configure chooses the generator.
func (in *instance) Configure() {
	in.generate = generator(in.Generator)
	in.shared = "correlation-id:" + strings.ToLower(in.HeaderName)
}

// Access keeps the id that came with the request, or makes one and sends it upstream.
func (in *instance) Access(k *pdk.PDK) error {
	id, _ := k.Request.GetHeader(in.HeaderName)
	if id == "" {
		id = in.generate(k)
		if err := k.ServiceRequest.SetHeader(in.HeaderName, id); err != nil {
			return err
		}
	}
	if in.EchoDownstream {
		if err := k.CtxShared.Set(in.shared, id); err != nil {
			return err
		}
	}
	return k.Log.SetSerializeValue("correlation_id", id, "")
}

// HeaderFilter echoes the id. Access may not have run when another plugin answered before it.
func (in *instance) HeaderFilter(k *pdk.PDK) error {
	if !in.EchoDownstream {
		return nil
	}
	id, _ := k.CtxShared.Get(in.shared).(string)
	if id == "" {
		id, _ = k.Request.GetHeader(in.HeaderName)
	}
	if id == "" {
		id = in.generate(k)
	}
	return k.Response.SetHeader(in.HeaderName, id)
}
