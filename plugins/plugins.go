// Package plugins lists the plugins that come with Outrigger. They are ordinary plugins of package pdk and know nothing of the host.
package plugins

import (
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/plugins/acl"
	"github.com/outrigger-gateway/outrigger/plugins/basicauth"
	"github.com/outrigger-gateway/outrigger/plugins/botdetection"
	"github.com/outrigger-gateway/outrigger/plugins/correlationid"
	"github.com/outrigger-gateway/outrigger/plugins/cors"
	"github.com/outrigger-gateway/outrigger/plugins/iprestriction"
	"github.com/outrigger-gateway/outrigger/plugins/keyauth"
	"github.com/outrigger-gateway/outrigger/plugins/ratelimiting"
	"github.com/outrigger-gateway/outrigger/plugins/redirect"
	"github.com/outrigger-gateway/outrigger/plugins/requestsizelimiting"
	"github.com/outrigger-gateway/outrigger/plugins/requesttermination"
	"github.com/outrigger-gateway/outrigger/plugins/requesttransformer"
	"github.com/outrigger-gateway/outrigger/plugins/responsetransformer"
)

// All lists every plugin, in the order of their names.
func All() []pdk.Plugin {
	return []pdk.Plugin{
		acl.Plugin,
		basicauth.Plugin,
		botdetection.Plugin,
		correlationid.Plugin,
		cors.Plugin,
		iprestriction.Plugin,
		keyauth.Plugin,
		ratelimiting.New(),
		redirect.Plugin,
		requestsizelimiting.Plugin,
		requesttermination.Plugin,
		requesttransformer.Plugin,
		responsetransformer.Plugin,
	}
}
