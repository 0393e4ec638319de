package proxy

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// upstreamFailed answers for an upstream that did not (spec/gateway.md 2.7).
func (r *request) upstreamFailed(err error) {
	r.proxy.opts.Logger.Error("upstream failed",
		"service", r.ex.Service.Name, "host", r.ex.Service.Host, "port", r.ex.Service.Port, "request_id", string(r.id[:]), "error", err.Error())
	var e *upstream.Error
	if !errors.As(err, &e) {
		r.ex.Fail(http.StatusInternalServerError, "")
		return
	}
	switch e.Kind {
	case upstream.KindTimeout:
		r.failHere(http.StatusGatewayTimeout)
	case upstream.KindResolve:
		r.ex.Fail(http.StatusServiceUnavailable, "name resolution failed")
	case upstream.KindBody:
		status := http.StatusBadRequest
		var timeout net.Error
		switch {
		case r.clientBody.over:
			status = http.StatusRequestEntityTooLarge
		case errors.As(e.Err, &timeout) && timeout.Timeout():
			status = http.StatusRequestTimeout
		}
		r.failHere(status)
	default:
		r.failHere(http.StatusBadGateway)
	}
}

// answer makes the response of the gateway's own answer, with a body formatted for the client when the answer asks for that.
func (r *request) answer() {
	a := &r.ex.Answer
	if a.Formatted {
		message := a.Message
		if !a.HasMessage {
			message = defaultMessage(a.Status)
		}
		explicit := ""
		for _, h := range a.Headers {
			if strings.EqualFold(h.Name, "Content-Type") {
				explicit = h.Value
			}
		}
		contentType, body := errorBody(r.errorFormat(explicit), message, string(r.id[:]))
		a.Body, a.HasBody = body, true
		if explicit == "" {
			a.Headers = append(a.Headers, wire.Header{Name: "Content-Type", Value: contentType})
		}
	}
	if r.ex.Facts.HasServiceResponse {
		// A plugin replaced the upstream's response: its headers stay, its body and what described it go.
		r.ex.NeedResponse()
		if err := r.ctx.Response.CloseBodyStream(); err != nil {
			r.proxy.opts.Logger.Debug("closing a replaced response", "request_id", string(r.id[:]), "error", err.Error())
		}
		for _, name := range []string{"Content-Length", "Content-Encoding"} {
			r.ex.Facts.Response.Headers = exchange.RemoveHeader(r.ex.Facts.Response.Headers, name)
		}
	}
	r.ex.Answered()
	r.ctx.Response.SetBodyRaw(a.Body)
	r.responseBody, r.bufferedBody = nil, false
	r.ex.NewBody, r.ex.HasNewBody = nil, false
	a.Given = false // so that a filter that answers is seen
}

// format is one of the shapes of an error body.
type format uint8

const (
	formatJSON format = iota
	formatHTML
	formatPlain
	formatXML
)

// errorFormat negotiates: an explicit content type, else Accept with its qualities, else JSON. For errors about the HTTP messages the request's
// own content type and error_default_type come before JSON.
func (r *request) errorFormat(explicit string) format {
	if explicit != "" {
		f, _ := formatOf(explicit)
		return f
	}
	accept := r.header("accept")
	if accept == "" && r.ex.Answer.Transport {
		f, known := formatOf(r.header("content-type"))
		if !known {
			f, _ = formatOf(r.proxy.opts.ErrorDefaultType)
		}
		return f
	}
	best, quality := formatJSON, 0.0
	for entry := range strings.SplitSeq(accept, ",") {
		media, params, _ := strings.Cut(entry, ";")
		f, known := formatOf(media)
		if q := qualityOf(params); known && q > quality {
			best, quality = f, q
		}
	}
	return best
}

// qualityOf is the q of the parameters of a media range; 1 when there is none that is a number.
func qualityOf(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			if q, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				return q
			}
		}
	}
	return 1
}

// formatOf is the format of a media type or range; known is false, with JSON, for types in which no error is written.
func formatOf(media string) (f format, known bool) {
	media, _, _ = strings.Cut(strings.ToLower(media), ";")
	switch strings.TrimSpace(media) {
	case "text/html", "application/xhtml+xml":
		return formatHTML, true
	case "text/xml", "application/xml":
		return formatXML, true
	case "text/plain", "text/*":
		return formatPlain, true
	case "application/json", "application/*", "*/*":
		return formatJSON, true
	}
	return formatJSON, false
}

// errorBody renders spec/gateway.md 4.3.
func errorBody(f format, message, id string) (contentType string, body []byte) {
	switch f {
	case formatHTML:
		m := escapeMarkup(message)
		return "text/html; charset=utf-8", []byte("<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  <body>\n    <h1>Error</h1>\n    <p>" +
			m + ".</p>\n    <p>request_id: " + id + "</p>\n  </body>\n</html>\n")
	case formatXML:
		return "application/xml; charset=utf-8", []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>" + escapeMarkup(message) + "</message>\n  <requestid>" + id + "</requestid>\n</error>\n")
	case formatPlain:
		return "text/plain; charset=utf-8", []byte(message + "\nrequest_id: " + id + "\n")
	}
	return "application/json; charset=utf-8", []byte("{\n  \"message\":" + quoteJSON(message) + ",\n  \"request_id\":\"" + id + "\"\n}")
}

var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func escapeMarkup(s string) string { return markup.Replace(s) }

// quoteJSON is a JSON string; bytes that are not UTF-8 become U+FFFD.
func quoteJSON(s string) string {
	const hexDigits = "0123456789abcdef"
	b := []byte{'"'}
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, string(c)...)
		}
	}
	return string(append(b, '"'))
}

// defaultMessage is the text of a status that came without one.
func defaultMessage(status int) string {
	if m, ok := messages[status]; ok {
		return m
	}
	return "The upstream server responded with " + strconv.Itoa(status)
}

var messages = map[int]string{
	400: "Bad request", 401: "Unauthorized", 402: "Payment required", 403: "Forbidden", 404: "Not found", 405: "Method not allowed",
	406: "Not acceptable", 407: "Proxy authentication required", 408: "Request timeout", 409: "Conflict", 410: "Gone",
	411: "Length required", 412: "Precondition failed", 413: "Payload too large", 414: "URI too long", 415: "Unsupported media type",
	416: "Range not satisfiable", 417: "Expectation failed", 418: "I'm a teapot", 421: "Misdirected request", 422: "Unprocessable entity",
	423: "Locked", 424: "Failed dependency", 425: "Too early", 426: "Upgrade required", 428: "Precondition required",
	429: "Too many requests", 431: "Request header fields too large", 451: "Unavailable for legal reasons",
	494: "Request header or cookie too large", 500: "An unexpected error occurred", 501: "Not implemented",
	502: "An invalid response was received from the upstream server", 503: "The upstream server is currently unavailable",
	504: "The upstream server is timing out", 505: "HTTP version not supported", 506: "Variant also negotiates",
	507: "Insufficient storage", 508: "Loop detected", 510: "Not extended", 511: "Network authentication required",
}
