package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Route is one thing that can be asked of a listener.
type Route struct {
	Method string // GET answers HEAD as well
	Path   string // "/plugin-servers/{name}/replace": a {name} stands for one segment
	Handle Handler
}

// Handler answers a request.
type Handler func(r *Request) Answer

// Request is what a handler is asked. It is valid until the handler returns.
type Request struct {
	http   *fasthttp.RequestCtx
	params map[string]string
}

// Param is the segment of the path where the route says {name}.
func (r *Request) Param(name string) string { return r.params[name] }

// Query are the arguments behind the question mark.
func (r *Request) Query() *fasthttp.Args { return r.http.QueryArgs() }

// Header is the value of a header of the request; "" when it has none.
func (r *Request) Header(name string) string { return string(r.http.Request.Header.Peek(name)) }

// Body is the body of the request.
func (r *Request) Body() []byte { return r.http.PostBody() }

// Private reports whether the request came over a unix socket, which is for the gateway's own user.
func (r *Request) Private() bool { return r.http.LocalAddr().Network() == "unix" }

// Answer is what a handler says. Its zero value with a body is 200 and JSON.
type Answer struct {
	Status int // 0: 200
	Body   any // written as JSON
	// Text is written as it is, with its content type, when Body is nil.
	Text        []byte
	ContentType string
}

// problem is the body of every answer that says what is wrong with a request.
type problem struct {
	Message  string `json:"message"`
	Field    string `json:"field,omitempty"`
	Found    string `json:"found,omitempty"`
	Expected string `json:"expected,omitempty"`
}

// Problem is the answer to a request that cannot be served.
func Problem(status int, message string) Answer {
	return Answer{Status: status, Body: problem{Message: message}}
}

// WrongField is the answer to a request with a wrong argument.
func WrongField(field, found, expected string) Answer {
	return Answer{Status: http.StatusBadRequest, Body: problem{
		Message: fmt.Sprintf("%s: found %q, expected %s", field, found, expected), Field: field, Found: found, Expected: expected,
	}}
}

// answer finds the route of a request and asks its handler.
func (s *Server) answer(ctx *fasthttp.RequestCtx) Answer {
	if misled(ctx.LocalAddr(), string(ctx.Host())) {
		return Answer{Status: http.StatusForbidden, Body: problem{
			Message: "found host " + string(ctx.Host()) + " on a loopback address, expected localhost or an address", Field: "Host",
		}}
	}
	path, method := string(ctx.Path()), string(ctx.Method())
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allowed []string
	for _, route := range s.routes {
		params, ok := match(route.Path, path)
		if !ok {
			continue
		}
		if route.Method != method {
			allowed = append(allowed, route.Method)
			continue
		}
		if method != http.MethodGet && fromPage(ctx) {
			return Answer{Status: http.StatusForbidden, Body: problem{
				Message: "found a request that a web page made, expected one of a program: it has the header Origin", Field: "Origin", Found: string(ctx.Request.Header.Peek("Origin")),
			}}
		}
		return route.Handle(&Request{http: ctx, params: params})
	}
	if len(allowed) == 0 {
		return Problem(http.StatusNotFound, "there is nothing at "+path+"; expected "+s.paths())
	}
	expected := strings.Join(allowed, " or ")
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	ctx.Response.Header.Set("Allow", strings.Join(allowed, ", "))
	return Problem(http.StatusMethodNotAllowed, "found method "+string(ctx.Method())+", expected "+expected)
}

// paths lists what there is: "/a, /b or /c".
func (s *Server) paths() string {
	var list []string
	for _, route := range s.routes {
		if !slices.Contains(list, route.Path) {
			list = append(list, route.Path)
		}
	}
	last := len(list) - 1
	if last == 0 {
		return list[0]
	}
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

// match compares a path with a pattern, segment by segment, and gives the segments that the pattern names.
func match(pattern, path string) (map[string]string, bool) {
	if !strings.Contains(pattern, "{") {
		return nil, pattern == path
	}
	params := map[string]string{}
	for {
		want, restOfPattern, more := strings.Cut(pattern, "/")
		found, restOfPath, moreOfPath := strings.Cut(path, "/")
		if name, ok := strings.CutPrefix(want, "{"); ok && found != "" {
			params[strings.TrimSuffix(name, "}")] = found
		} else if want != found {
			return nil, false
		}
		if more != moreOfPath {
			return nil, false
		}
		if !more {
			return params, true
		}
		pattern, path = restOfPattern, restOfPath
	}
}

// write sends an answer.
func (s *Server) write(ctx *fasthttp.RequestCtx, a Answer) {
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	text, contentType := a.Text, a.ContentType
	if a.Body != nil {
		contentType = "application/json; charset=utf-8"
		var err error
		if text, err = json.MarshalIndent(a.Body, "", "  "); err != nil {
			a.Status, text = http.StatusInternalServerError, []byte(`{"message": "the answer cannot be written as JSON"}`)
			s.logger.Error(s.name+": encoding an answer", "error", err.Error())
		}
		text = append(text, '\n')
	}
	if s.Latency {
		ctx.Response.Header.Set("X-Kong-Admin-Latency", strconv.FormatInt(time.Since(ctx.Time()).Milliseconds(), 10))
	}
	ctx.SetStatusCode(a.Status)
	ctx.SetContentType(contentType)
	ctx.SetBody(text)
}

// misled reports whether somebody came to a loopback address by a name that is not its own: the browser of somebody on this machine, with a page
// whose host was made to point here (DNS rebinding). The page would read the answer.
func misled(local net.Addr, host string) bool {
	tcp, ok := local.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return false
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil
}

// fromPage reports whether a browser sent the request for a page: it could not read the answer, but the request would have been obeyed.
func fromPage(ctx *fasthttp.RequestCtx) bool {
	return len(ctx.Request.Header.Peek("Origin")) > 0
}
