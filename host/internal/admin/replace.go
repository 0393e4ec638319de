package admin

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
)

// Replacer replaces the builds of plugin servers. An error that is a *Refusal says what to answer; others are answered with 422.
type Replacer interface {
	// Replace starts a new build of a server and waits until it is live, or a canary, or has failed. Body is what the request says of it, in JSON.
	// It goes on when the client has gone, and ends with the gateway. Private says that nobody but the gateway's own user can have asked.
	Replace(server string, body []byte, private bool) (pluginserver.Replacement, error)
	// Decide promotes the canary of a server, or rolls it back.
	Decide(server string, promote bool) (pluginserver.Replacement, error)
}

// Refusal is why a request is not obeyed.
type Refusal struct {
	Status int // of the answer
	Err    error
}

func (r *Refusal) Error() string { return r.Err.Error() }

func (r *Refusal) Unwrap() error { return r.Err }

// Replaced is the answer to a replacement.
type Replaced struct {
	Server string `json:"server"`
	pluginserver.Replacement
	Took float64 `json:"took_ms"`
}

// replace answers POST /plugin-servers/{name}/replace.
func (s *Server) replace(r *Request) Answer {
	return obey(r, func() (pluginserver.Replacement, error) {
		return s.gateway.Replace(r.Param("name"), r.Body(), r.Private())
	})
}

// decide answers POST /plugin-servers/{name}/promote and /rollback.
func (s *Server) decide(promote bool) Handler {
	return func(r *Request) Answer {
		return obey(r, func() (pluginserver.Replacement, error) { return s.gateway.Decide(r.Param("name"), promote) })
	}
}

// obey does what a request asks for.
func obey(r *Request, do func() (pluginserver.Replacement, error)) Answer {
	return ordered(r, func(took func() float64) (any, error) {
		done, err := do()
		return Replaced{Server: r.Param("name"), Replacement: done, Took: took()}, err
	})
}

// ordered does what a request asks for if it is of a program: a page can make a browser send a form or a text without asking, but not this type. Took is
// the time since then, in milliseconds.
func ordered(r *Request, do func(took func() float64) (answer any, err error)) Answer {
	found := r.Header("Content-Type")
	if kind, _, err := mime.ParseMediaType(found); err != nil || kind != "application/json" {
		return Answer{Status: http.StatusUnsupportedMediaType, Body: problem{
			Message: fmt.Sprintf("found content type %q, expected application/json, also without a body", found), Field: "Content-Type", Found: found,
			Expected: "application/json",
		}}
	}
	begun := time.Now()
	done, err := do(func() float64 { return float64(time.Since(begun).Microseconds()) / 1000 })
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return Problem(refusal.Status, err.Error())
	case err != nil:
		return Problem(http.StatusUnprocessableEntity, err.Error())
	}
	return Answer{Body: done}
}
