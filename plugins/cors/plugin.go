// Package cors is the plugin cors: it says which web pages may read responses (the Fetch standard, section 3.2), and answers preflights.
package cors

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is cors.
var Plugin = pdk.Plugin{
	Name:     "cors",
	Version:  "0.1.0",
	Priority: 2000,
	New: func() any {
		list := methods()
		return &instance{Config: Config{Methods: &list, AllowOriginAbsent: true}}
	},
}

type instance struct {
	Config
	origins *origins
	// Values of the headers that do not depend on the request; "": there is none.
	methods, headers, exposed, maxAge string
}

const (
	allowOrigin         = "Access-Control-Allow-Origin"
	allowCredentials    = "Access-Control-Allow-Credentials"
	allowHeaders        = "Access-Control-Allow-Headers"
	allowMethods        = "Access-Control-Allow-Methods"
	allowPrivateNetwork = "Access-Control-Allow-Private-Network"
	exposeHeaders       = "Access-Control-Expose-Headers"
	maxAge              = "Access-Control-Max-Age"
)

// preflight is the key in ctx.plugin that tells HeaderFilter to leave the response alone.
const preflight = "preflight"

// Configure compiles the origins and joins the lists.
func (in *instance) Configure() error {
	var list []string
	if in.Config.Origins != nil {
		list = *in.Config.Origins
	}
	var wrong int
	var err error
	if in.origins, wrong, err = parseOrigins(list); err != nil {
		return &pdk.ConfigError{Path: fmt.Sprintf("origins.%d", wrong), Message: err.Error()}
	}
	in.methods = strings.Join(methods(), ",")
	if in.Config.Methods != nil {
		in.methods = strings.Join(*in.Config.Methods, ",")
	}
	in.headers, in.exposed = joined(in.Config.Headers), joined(in.Config.ExposedHeaders)
	if in.Config.MaxAge != nil {
		in.maxAge = strconv.Itoa(*in.Config.MaxAge)
	}
	return nil
}

func joined(list *[]string) string {
	if list == nil {
		return ""
	}
	return strings.Join(*list, ",")
}

// Access answers preflights.
func (in *instance) Access(k *pdk.PDK) error {
	origin, isPreflight := in.preflightOrigin(k)
	if !isPreflight {
		return nil
	}
	if err := k.CtxPlugin.Set(preflight, true); err != nil || in.PreflightContinue {
		return err
	}
	if err := in.answerOrigin(k, origin, true, false); err != nil {
		return err
	}
	for _, h := range [...]struct{ name, value string }{
		{allowHeaders, in.askedHeaders(k)},
		{allowMethods, in.methods},
		{maxAge, in.maxAge},
		{allowPrivateNetwork, in.privateNetwork(k)},
	} {
		if h.value == "" {
			continue
		}
		if err := k.Response.SetHeader(h.name, h.value); err != nil {
			return err
		}
	}
	return k.Response.Exit(http.StatusOK, nil, nil)
}

// preflightOrigin is the Origin of a request that asks what a page may do; false when the request is none.
func (in *instance) preflightOrigin(k *pdk.PDK) (string, bool) {
	if k.Request.GetMethod() != http.MethodOptions {
		return "", false
	}
	origin, has := k.Request.GetHeader("Origin")
	_, asks := k.Request.GetHeader("Access-Control-Request-Method")
	return origin, has && asks
}

// askedHeaders are the headers that a page may send.
func (in *instance) askedHeaders(k *pdk.PDK) string {
	if in.headers != "" {
		return in.headers
	}
	asked, _ := k.Request.GetHeader("Access-Control-Request-Headers")
	return asked
}

// privateNetwork is the answer to a page of a public network that asks for a private one.
func (in *instance) privateNetwork(k *pdk.PDK) string {
	if !in.PrivateNetwork {
		return ""
	}
	if asked, _ := k.Request.GetHeader("Access-Control-Request-Private-Network"); asked != "true" {
		return ""
	}
	return "true"
}

// HeaderFilter tells the browser who may read the response.
func (in *instance) HeaderFilter(k *pdk.PDK) error {
	origin, has := k.Request.GetHeader("Origin")
	if !has && !in.AllowOriginAbsent || k.CtxPlugin.Get(preflight) != nil {
		return nil
	}
	if err := in.answerOrigin(k, origin, has, true); err != nil || in.exposed == "" {
		return err
	}
	return k.Response.SetHeader(exposeHeaders, in.exposed)
}

// answerOrigin sets the headers that depend on the Origin; has says that there is one. filtering keeps the Vary of the upstream.
func (in *instance) answerOrigin(k *pdk.PDK, origin string, has, filtering bool) error {
	value, ok := in.origins.allowed(origin, has)
	credentials, vary := in.Config.Credentials, !in.origins.anybody
	if credentials && value == "*" { // which browsers do not accept with credentials
		credentials = has
		if has {
			value, vary = origin, true
		}
	}
	if err := in.varyByOrigin(k, vary, filtering); err != nil {
		return err
	}
	var err error
	if ok {
		err = k.Response.SetHeader(allowOrigin, value)
	} else {
		err = k.Response.ClearHeader(allowOrigin)
	}
	if err != nil || !credentials {
		return err
	}
	return k.Response.SetHeader(allowCredentials, "true")
}

// varyByOrigin tells caches that the response is for this Origin.
func (in *instance) varyByOrigin(k *pdk.PDK, vary, filtering bool) error {
	switch {
	case !vary:
		return nil
	case filtering:
		return k.Response.AddHeader("Vary", "Origin")
	}
	return k.Response.SetHeader("Vary", "Origin")
}
