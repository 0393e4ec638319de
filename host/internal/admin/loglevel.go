package admin

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// LogLevels changes the level of the log.
type LogLevels interface {
	LogLevel() LogLevel
	// SetLogLevel sets the level for a while, or with 0 until the next change; false when there is none of that name.
	SetLogLevel(name string, forTime time.Duration) (LogLevel, bool)
}

// LogLevel is the level of the log.
type LogLevel struct {
	Message string     `json:"message"` // as Kong says it
	Level   string     `json:"level"`
	Setting string     `json:"setting"`         // of log_level
	Until   *time.Time `json:"until,omitempty"` // when the setting counts again
}

// levelTime is how long a level stays when the request does not say.
const levelTime = time.Minute

// logLevelRoutes are Kong's.
func (s *Server) logLevelRoutes() []Route {
	return []Route{
		{http.MethodGet, "/debug/node/log-level", s.logLevel},
		{http.MethodPut, "/debug/node/log-level/{level}", s.setLogLevel},
	}
}

func (s *Server) logLevel(*Request) Answer {
	l := s.gateway.LogLevel()
	l.Message = "log level: " + l.Level
	return Answer{Body: l}
}

// setLogLevel answers PUT /debug/node/log-level/{level}. The argument timeout says for how many seconds, 0 for good: in the query, a form or JSON.
func (s *Server) setLogLevel(r *Request) Answer {
	text, ok := timeoutOf(r)
	if !ok {
		return Answer{Status: http.StatusBadRequest, Body: problem{Message: "found a body that is no JSON object or form with timeout alone, expected timeout=SECONDS", Field: "timeout"}}
	}
	forTime := levelTime
	if text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds >= 0 && seconds <= math.MaxInt32) {
			return WrongField("timeout", text, "a number of seconds, 0 for good")
		}
		forTime = time.Duration(seconds * float64(time.Second))
	}
	before := s.gateway.LogLevel()
	name := r.Param("level")
	l, ok := s.gateway.SetLogLevel(name, forTime)
	if !ok {
		return WrongField("log level", name, "debug, info, notice, warn, error, crit, alert or emerg")
	}
	l.Message = "log level changed to " + l.Level
	if before.Level == l.Level {
		l.Message = "log level is already " + l.Level // as in Kong
		if l.Until == nil && before.Until != nil {
			l.Message += ", and stays" // what was to be for a while is for good
		}
	}
	return Answer{Body: l}
}

// timeoutOf is the argument timeout of a request; "" when there is none. ok is false for a body that cannot be read.
func timeoutOf(r *Request) (text string, ok bool) {
	if text := string(r.Query().Peek("timeout")); text != "" {
		return text, true
	}
	body := r.Body()
	if len(body) == 0 {
		return "", true
	}
	if strings.HasPrefix(strings.TrimSpace(string(body)), "{") {
		var object struct {
			Timeout json.Number `json:"timeout"`
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields() // a name that is written wrong would be a minute
		err := d.Decode(&object)
		return object.Timeout.String(), err == nil && d.Decode(&struct{}{}) == io.EOF
	}
	form, err := url.ParseQuery(string(body))
	return form.Get("timeout"), err == nil && form.Has("timeout")
}
