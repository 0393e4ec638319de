package host

import (
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/proxy"
	"github.com/outrigger-gateway/outrigger/pdk/local"
)

// responseHeaders are the headers of responses, for the proxy.
func responseHeaders(t config.HeaderTokens) proxy.HeaderTokens {
	return proxy.HeaderTokens{
		Via: t.Via, Server: t.Server, UpstreamLatency: t.UpstreamLatency, ProxyLatency: t.ProxyLatency, ResponseLatency: t.ResponseLatency,
		RequestID: t.RequestID, UpstreamStatus: t.UpstreamStatus,
	}
}

// errorTemplates are the bodies of errors, for the proxy.
func errorTemplates(t *config.ErrorTemplates) proxy.ErrorTemplates {
	return proxy.ErrorTemplates{local.ErrorHTML: t.HTML.Text, local.ErrorJSON: t.JSON.Text, local.ErrorPlain: t.Plain.Text, local.ErrorXML: t.XML.Text}
}
