package proxy

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Timings notes how long plugins run, for the requests that want Server-Timing. It is an interceptor of dispatch, of remote and of native calls.
type Timings struct{}

// Before implements dispatch.Interceptor.
func (Timings) Before(*dispatch.Call) error { return nil }

// Asked implements dispatch.Interceptor.
func (Timings) Asked(*dispatch.Call, *wire.Ask, *wire.Answer) {}

// After implements dispatch.Interceptor. A body has pieces without end, and its filters run when the header has been sent.
func (Timings) After(c *dispatch.Call) {
	if c.Exchange.Timed && c.Phase != pdk.PhaseBodyFilter {
		c.Exchange.Timings = append(c.Exchange.Timings, exchange.Timing{Plugin: c.Instance.Record.Name, Phase: c.Phase, Took: c.Duration})
	}
}

// serverTiming says where the time went until the head of the answer: an entry for every plugin call and for the upstream, in the order in which
// they ran, then the whole. What runs later, body_filter and log, is not known yet.
func (r *request) serverTiming(h *fasthttp.ResponseHeader) {
	b := r.scratch[:0]
	for i, t := range r.ex.Timings {
		if i == r.timedBefore && r.upstreamEnd.After(r.upstreamStart) {
			b = appendTiming(b, "upstream", "", r.upstreamEnd.Sub(r.upstreamStart))
		}
		b = appendTiming(b, t.Plugin, t.Phase.String(), t.Took)
	}
	if len(r.ex.Timings) <= r.timedBefore && r.upstreamEnd.After(r.upstreamStart) {
		b = appendTiming(b, "upstream", "", r.upstreamEnd.Sub(r.upstreamStart))
	}
	r.scratch = appendTiming(b, "total", "", time.Since(r.start))
	h.AddBytesV("Server-Timing", r.scratch)
}

// appendTiming appends a metric: name;desc="name phase";dur=milliseconds. The name is a token, whatever the plugin is called.
func appendTiming(b []byte, name, phase string, took time.Duration) []byte {
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	for i := range len(name) {
		if c := name[i]; httpbyte.InToken(c) {
			b = append(b, c)
		} else {
			b = append(b, '_')
		}
	}
	if phase != "" {
		b = append(b, `;desc="`...)
		b = appendQuoted(b, name)
		b = append(append(b, ' '), phase...)
		b = append(b, '"')
	}
	b = append(b, ";dur="...)
	return strconv.AppendFloat(b, float64(took.Microseconds())/1000, 'f', -1, 64)
}

// appendQuoted appends text as it stands in a quoted string. Control characters have no place there.
func appendQuoted(b []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' && c != '\t' || c == 0x7f:
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return b
}
