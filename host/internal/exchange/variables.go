package exchange

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Variable is a variable of nginx for this exchange, with what plugins have written so far; ok is false when there is none of that name, or it
// has no value.
func (e *Exchange) Variable(name string) (value string, ok bool) {
	e.NeedRequest()
	e.NeedResponse()
	if read := variables[name]; read != nil {
		value = read(e)
		return value, value != ""
	}
	for prefix, read := range prefixed {
		if rest, found := strings.CutPrefix(name, prefix); found && rest != "" {
			return read(e, rest)
		}
	}
	return "", false
}

// variables by name. A variable without a value is "".
var variables = map[string]func(e *Exchange) string{
	"request_method": func(e *Exchange) string { return e.Facts.Request.Method },
	"request_uri":    func(e *Exchange) string { return e.Facts.Request.Target },
	"uri":            func(e *Exchange) string { return e.Facts.Request.Path },
	"args":           func(e *Exchange) string { return e.Facts.Request.RawQuery },
	"query_string":   func(e *Exchange) string { return e.Facts.Request.RawQuery },
	"is_args": func(e *Exchange) string {
		if e.Facts.Request.RawQuery == "" {
			return ""
		}
		return "?"
	},
	"scheme": func(e *Exchange) string { return e.Facts.Request.Scheme },
	"https": func(e *Exchange) string {
		if e.Facts.Request.Scheme == "https" {
			return "on"
		}
		return ""
	},
	"host": func(e *Exchange) string { return e.Facts.Request.Host },
	"hostname": func(e *Exchange) string {
		if e.Gateway == nil {
			return ""
		}
		return e.Gateway.Hostname
	},
	"server_port":        func(e *Exchange) string { return positive(e.Facts.Request.Port) },
	"server_protocol":    func(e *Exchange) string { return protocol(e.Facts.Request.HTTPVersion) },
	"remote_addr":        func(e *Exchange) string { return e.Facts.Client.ForwardedIP },
	"remote_port":        func(e *Exchange) string { return positive(e.Facts.Client.ForwardedPort) },
	"realip_remote_addr": func(e *Exchange) string { return e.Facts.Client.IP },
	"realip_remote_port": func(e *Exchange) string { return positive(e.Facts.Client.Port) },
	"request_id":         func(e *Exchange) string { return e.Facts.RequestID },
	"request_length":     requestLength,
	"request_time": func(e *Exchange) string {
		return seconds(max(time.Now().UnixMilli()-e.Facts.StartTime, 0))
	},
	"msec":         func(*Exchange) string { return seconds(time.Now().UnixMilli()) },
	"time_iso8601": func(*Exchange) string { return time.Now().Format("2006-01-02T15:04:05-07:00") },
	"status": func(e *Exchange) string {
		if !e.Facts.HasResponse {
			return ""
		}
		return positive(e.Facts.Response.Status)
	},
	"content_type":      func(e *Exchange) string { return e.Header("content-type") },
	"content_length":    func(e *Exchange) string { return e.Header("content-length") },
	"ssl_protocol":      func(e *Exchange) string { return e.Facts.TLS.Version },
	"ssl_cipher":        func(e *Exchange) string { return e.Facts.TLS.Cipher },
	"ssl_client_verify": func(e *Exchange) string { return e.Facts.TLS.ClientVerify },
	"upstream_uri":      func(e *Exchange) string { return e.Live.UpstreamURI() },
	"upstream_status": func(e *Exchange) string {
		if !e.Facts.HasServiceResponse {
			return ""
		}
		return positive(e.Facts.ServiceResponse.Status)
	},
}

// prefixed are the variables whose names end in the name of a header, cookie or argument.
var prefixed = map[string]func(e *Exchange, name string) (string, bool){
	"arg_":    argument,
	"cookie_": cookie,
	"http_":   func(e *Exchange, name string) (string, bool) { return joined(e.Facts.Request.Headers, name) },
	"sent_http_": func(e *Exchange, name string) (string, bool) {
		return joined(e.Facts.Response.Headers, name)
	},
	"upstream_http_": func(e *Exchange, name string) (string, bool) {
		if !e.Facts.HasServiceResponse {
			return "", false
		}
		return joined(e.Facts.ServiceResponse.Headers, name)
	},
}

// argument is the first value of an argument of the query, not decoded, by the name without regard to case, as in nginx.
func argument(e *Exchange, name string) (string, bool) {
	for pair := range strings.SplitSeq(e.Facts.Request.RawQuery, "&") {
		if k, v, has := strings.Cut(pair, "="); has && strings.EqualFold(k, name) {
			return v, true
		}
	}
	return "", false
}

func cookie(e *Exchange, name string) (string, bool) {
	for _, h := range e.Facts.Request.Headers {
		if !strings.EqualFold(h.Name, "cookie") {
			continue
		}
		for pair := range strings.SplitSeq(h.Value, ";") {
			if k, v, has := strings.Cut(strings.TrimSpace(pair), "="); has && k == name {
				return v, true
			}
		}
	}
	return "", false
}

// joined are the values of all lines of a header, "_" in the name standing for "-".
func joined(headers []wire.Header, name string) (string, bool) {
	var values []string
	for _, h := range headers {
		if local.SameHeader(h.Name, name) {
			values = append(values, h.Value)
		}
	}
	return strings.Join(values, ", "), len(values) > 0
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// protocol is HTTP/1.1 for 11, HTTP/2.0 for 20.
func protocol(version int) string {
	return "HTTP/" + strconv.Itoa(version/10) + "." + strconv.Itoa(version%10)
}

// seconds writes milliseconds as nginx writes times, such as 0.250.
func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }

// requestLength is the length of the request, head and declared body. The head is counted as it stands now.
func requestLength(e *Exchange) string {
	r := &e.Facts.Request
	n := int64(len(r.Method) + len(r.Target) + len(" ") + len(" HTTP/1.1\r\n") + len("\r\n"))
	for _, h := range r.Headers {
		n += int64(len(h.Name) + len(": ") + len(h.Value) + len("\r\n"))
	}
	if length, err := strconv.ParseInt(e.Header("content-length"), 10, 64); err == nil && length > 0 && length < math.MaxInt64/2 {
		n += length
	}
	return strconv.FormatInt(n, 10)
}
