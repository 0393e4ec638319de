package local

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Variables are the variables of nginx for one request.
type Variables struct {
	Facts    *wire.Facts // request and response, with what plugins have written so far
	Hostname string      // of the node
	// UpstreamURI is path and query of the request to the service; "" while no route is known.
	UpstreamURI func() string
}

// Get is a variable by its name; ok is false when there is none of that name, or it has no value.
func (v *Variables) Get(name string) (value string, ok bool) {
	if read := variables[name]; read != nil {
		value = read(v)
		return value, value != ""
	}
	for prefix, read := range prefixed {
		if rest, found := strings.CutPrefix(name, prefix); found && rest != "" {
			return read(v.Facts, rest)
		}
	}
	return "", false
}

// variables by name. A variable without a value is "".
var variables = map[string]func(v *Variables) string{
	"request_method": func(v *Variables) string { return v.Facts.Request.Method },
	"request_uri":    func(v *Variables) string { return v.Facts.Request.Target },
	"uri":            func(v *Variables) string { return v.Facts.Request.Path },
	"args":           func(v *Variables) string { return v.Facts.Request.RawQuery },
	"query_string":   func(v *Variables) string { return v.Facts.Request.RawQuery },
	"is_args": func(v *Variables) string {
		if v.Facts.Request.RawQuery == "" {
			return ""
		}
		return "?"
	},
	"scheme": func(v *Variables) string { return v.Facts.Request.Scheme },
	"https": func(v *Variables) string {
		if v.Facts.Request.Scheme == "https" {
			return "on"
		}
		return ""
	},
	"host":               func(v *Variables) string { return v.Facts.Request.Host },
	"hostname":           func(v *Variables) string { return v.Hostname },
	"server_port":        func(v *Variables) string { return positive(v.Facts.Request.Port) },
	"server_protocol":    func(v *Variables) string { return protocol(v.Facts.Request.HTTPVersion) },
	"remote_addr":        func(v *Variables) string { return v.Facts.Client.ForwardedIP },
	"remote_port":        func(v *Variables) string { return positive(v.Facts.Client.ForwardedPort) },
	"realip_remote_addr": func(v *Variables) string { return v.Facts.Client.IP },
	"realip_remote_port": func(v *Variables) string { return positive(v.Facts.Client.Port) },
	"request_id":         func(v *Variables) string { return v.Facts.RequestID },
	"request_length":     requestLength,
	"request_time": func(v *Variables) string {
		return seconds(max(time.Now().UnixMilli()-v.Facts.StartTime, 0))
	},
	"msec":         func(*Variables) string { return seconds(time.Now().UnixMilli()) },
	"time_iso8601": func(*Variables) string { return time.Now().Format("2006-01-02T15:04:05-07:00") },
	"status": func(v *Variables) string {
		if !v.Facts.HasResponse {
			return ""
		}
		return positive(v.Facts.Response.Status)
	},
	"content_type":      func(v *Variables) string { return line(v.Facts.Request.Headers, "content-type") },
	"content_length":    func(v *Variables) string { return line(v.Facts.Request.Headers, "content-length") },
	"ssl_protocol":      func(v *Variables) string { return v.Facts.TLS.Version },
	"ssl_cipher":        func(v *Variables) string { return v.Facts.TLS.Cipher },
	"ssl_client_verify": func(v *Variables) string { return v.Facts.TLS.ClientVerify },
	"upstream_uri":      func(v *Variables) string { return v.UpstreamURI() },
	"upstream_status": func(v *Variables) string {
		if !v.Facts.HasServiceResponse {
			return ""
		}
		return positive(v.Facts.ServiceResponse.Status)
	},
}

// prefixed are the variables whose names end in the name of a header, cookie or argument.
var prefixed = map[string]func(f *wire.Facts, name string) (string, bool){
	"arg_":    argument,
	"cookie_": cookie,
	"http_":   func(f *wire.Facts, name string) (string, bool) { return joined(f.Request.Headers, name) },
	"sent_http_": func(f *wire.Facts, name string) (string, bool) {
		return joined(f.Response.Headers, name)
	},
	"upstream_http_": func(f *wire.Facts, name string) (string, bool) {
		if !f.HasServiceResponse {
			return "", false
		}
		return joined(f.ServiceResponse.Headers, name)
	},
}

// argument is the first value of an argument of the query, not decoded, by the name without regard to case, as in nginx.
func argument(f *wire.Facts, name string) (string, bool) {
	for pair := range strings.SplitSeq(f.Request.RawQuery, "&") {
		if k, v, has := strings.Cut(pair, "="); has && strings.EqualFold(k, name) {
			return v, true
		}
	}
	return "", false
}

func cookie(f *wire.Facts, name string) (string, bool) {
	for _, h := range f.Request.Headers {
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

// line is the first value of a header; "" when there is none.
func line(headers []wire.Header, name string) string {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// joined are the values of all lines of a header, "_" in the name standing for "-".
func joined(headers []wire.Header, name string) (string, bool) {
	var values []string
	for _, h := range headers {
		if SameHeader(h.Name, name) {
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
func requestLength(v *Variables) string {
	r := &v.Facts.Request
	n := int64(len(r.Method) + len(r.Target) + len(" ") + len(" HTTP/1.1\r\n") + len("\r\n"))
	for _, h := range r.Headers {
		n += int64(len(h.Name) + len(": ") + len(h.Value) + len("\r\n"))
	}
	if length, err := strconv.ParseInt(line(r.Headers, "content-length"), 10, 64); err == nil && length > 0 && length < math.MaxInt64/2 {
		n += length
	}
	return strconv.FormatInt(n, 10)
}
