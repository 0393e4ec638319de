package accesslog

import (
	"fmt"
	"strings"
)

// Code is what a field says.
type Code uint8

// Codes of fields.
const (
	Time Code = iota
	RequestID
	ClientIP
	ClientPort
	PeerIP
	PeerPort
	Method
	Scheme
	Host
	Path
	Query
	Protocol
	Status
	Source
	Route
	RouteID
	Service
	ServiceID
	Consumer
	ConsumerID
	Upstream
	UpstreamStatus
	RequestBytes
	ResponseBytes
	Duration
	UpstreamTime
	GatewayTime
	UserAgent
	Referer
	RequestHeader  // the header of the field
	ResponseHeader // the same of the response
)

// Field is a field of a line.
type Field struct {
	Code   Code
	Name   string // and key of the line
	Header string // in lower case; of RequestHeader and ResponseHeader
	key    string // as it stands in the line, with the colon
}

// Doc is a field for readers.
type Doc struct{ Name, Text string }

// fields by their code.
var fields = [...]Doc{
	Time:           {"time", "when the head of the request was there, RFC 3339, UTC"},
	RequestID:      {"request_id", "id of the request, as in `X-Kong-Request-Id`"},
	ClientIP:       {"client_ip", "address of the client, by `trusted_ips` and `real_ip_header`"},
	ClientPort:     {"client_port", "its port, when it is known"},
	PeerIP:         {"peer_ip", "address of the other end of the connection"},
	PeerPort:       {"peer_port", "its port"},
	Method:         {"method", "method of the request, as it came"},
	Scheme:         {"scheme", "http or https"},
	Host:           {"host", "host of the request, in lower case, without port"},
	Path:           {"path", "path of the request, as it came, without the query"},
	Query:          {"query", "query of the request, as it came; it may hold secrets"},
	Protocol:       {"protocol", "HTTP/1.0 or HTTP/1.1"},
	Status:         {"status", "status of the answer"},
	Source:         {"source", "who made the answer: service, exit (a plugin) or error (the gateway, or a plugin with `response.error`)"},
	Route:          {"route", "name of the route, or its id"},
	RouteID:        {"route_id", "id of the route"},
	Service:        {"service", "name of the service, or its id"},
	ServiceID:      {"service_id", "id of the service"},
	Consumer:       {"consumer", "username of the consumer, or its custom id, or its id"},
	ConsumerID:     {"consumer_id", "id of the consumer"},
	Upstream:       {"upstream", "host and port of the last target that was tried"},
	UpstreamStatus: {"upstream_status", "status of the upstream's response"},
	RequestBytes:   {"request_bytes", "bytes of the request body that were read"},
	ResponseBytes:  {"response_bytes", "bytes of the body of the answer"},
	Duration:       {"duration_ms", "milliseconds from the head of the request until the answer was handed over"},
	UpstreamTime:   {"upstream_ms", "milliseconds from the first try until the head of the upstream's response was there, or the last try had failed"},
	GatewayTime:    {"gateway_ms", "milliseconds before the upstream was asked; without that, all"},
	UserAgent:      {"user_agent", "header `User-Agent` of the request"},
	Referer:        {"referer", "header `Referer` of the request; its query may hold secrets"},
	RequestHeader:  {"request_header.NAME", "any header of the request, as it came, such as `request_header.X-Team`"},
	ResponseHeader: {"response_header.NAME", "any header of the answer, such as `response_header.Cache-Control`"},
}

// Default are the names of the fields when nobody chose any.
const Default = "time, request_id, client_ip, method, host, path, protocol, status, source, response_bytes, duration_ms, upstream_ms, upstream, upstream_status, route, service, consumer, user_agent"

// Docs are all fields.
func Docs() []Doc { return fields[:] }

// Names are the names of all fields; those of headers end with NAME.
func Names() []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// ParseField is the field of that name.
func ParseField(name string) (Field, error) {
	f := Field{Name: name, key: string(append(AppendString(nil, name), ':'))}
	for code, doc := range fields {
		prefix, header := strings.CutSuffix(doc.Name, "NAME")
		switch {
		case !header && doc.Name == name:
			f.Code = Code(code)
			return f, nil
		case header && strings.HasPrefix(name, prefix) && isToken(name[len(prefix):]):
			f.Code, f.Header = Code(code), strings.ToLower(name[len(prefix):])
			return f, nil
		}
	}
	return Field{}, fmt.Errorf("found %q, expected one of %s", name, strings.Join(Names(), ", "))
}

// isToken reports whether a name can be that of a header.
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	})
}

// Key begins the field in a line: its name in quotes and a colon.
func (f *Field) Key() string { return f.key }
