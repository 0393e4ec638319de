package local

import (
	"strconv"
	"strings"
)

// ErrorFormat is one of the shapes of the gateway's error bodies.
type ErrorFormat uint8

// Formats of error bodies.
const (
	ErrorJSON ErrorFormat = iota
	ErrorHTML
	ErrorPlain
	ErrorXML
)

// ErrorFormatOf is the format of a media type or range; known is false, with JSON, for types in which no error is written.
func ErrorFormatOf(media string) (f ErrorFormat, known bool) {
	media, _, _ = strings.Cut(strings.ToLower(media), ";")
	switch strings.TrimSpace(media) {
	case "text/html", "application/xhtml+xml":
		return ErrorHTML, true
	case "text/xml", "application/xml":
		return ErrorXML, true
	case "text/plain", "text/*":
		return ErrorPlain, true
	case "application/json", "application/*", "*/*":
		return ErrorJSON, true
	}
	return ErrorJSON, false
}

// AcceptedErrorFormat is the format that an Accept header prefers, by its qualities; JSON when it names none.
func AcceptedErrorFormat(accept string) ErrorFormat {
	best, quality := ErrorJSON, 0.0
	for entry := range strings.SplitSeq(accept, ",") {
		media, params, _ := strings.Cut(entry, ";")
		f, known := ErrorFormatOf(media)
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

// ErrorBody renders the gateway's error body, with its content type. id is that of the request.
func ErrorBody(f ErrorFormat, message, id string) (contentType string, body []byte) {
	m := EscapeError(f, message)
	switch f {
	case ErrorHTML:
		body = []byte("<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  <body>\n    <h1>Error</h1>\n    <p>" +
			m + ".</p>\n    <p>request_id: " + id + "</p>\n  </body>\n</html>\n")
	case ErrorXML:
		body = []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>" + m + "</message>\n  <requestid>" + id + "</requestid>\n</error>\n")
	case ErrorPlain:
		body = []byte(m + "\nrequest_id: " + id + "\n")
	default:
		body = []byte("{\n  \"message\":\"" + m + "\",\n  \"request_id\":\"" + id + "\"\n}")
	}
	return ErrorType(f), body
}

// ErrorType is the content type of a format.
func ErrorType(f ErrorFormat) string {
	switch f {
	case ErrorHTML:
		return "text/html; charset=utf-8"
	case ErrorXML:
		return "application/xml; charset=utf-8"
	case ErrorPlain:
		return "text/plain; charset=utf-8"
	}
	return "application/json; charset=utf-8"
}

// EscapeError is a message as it stands in a body of the format: in JSON within quotes.
func EscapeError(f ErrorFormat, message string) string {
	switch f {
	case ErrorHTML, ErrorXML:
		return markup.Replace(message)
	case ErrorPlain:
		return message
	}
	return escapeJSON(message)
}

var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// escapeJSON is what stands between the quotes of a JSON string; bytes that are not UTF-8 become U+FFFD.
func escapeJSON(s string) string {
	const hexDigits = "0123456789abcdef"
	b := make([]byte, 0, len(s))
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
	return string(b)
}

// ErrorMessage is the text of a status that came without one.
func ErrorMessage(status int) string {
	if m, ok := errorMessages[status]; ok {
		return m
	}
	return "The upstream server responded with " + strconv.Itoa(status)
}

var errorMessages = map[int]string{
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
