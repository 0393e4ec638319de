package responses

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Seen is what became of a case.
type Seen struct {
	// Result is the status that the client got; cut: it was broken off; none: no whole head came; more: bytes came behind the response; silent: nothing
	// came in time.
	Result   string
	Response *http.Response // nil: no whole head came; its body is read
	Body     string
	Kept     bool   // the next request came over the same connection to the upstream
	Hits     int    // how often the upstream got the request
	Crossed  string // what the next request got, when that was not its own answer
}

// Play sends the request of a case through a gateway, and another one after it. The gateway sends what begins with /case, /probe and /quick to the upstream,
// and has little patience with that under /quick.
func (u *Upstream) Play(gateway string, c *Case, patience time.Duration) (Seen, error) {
	s, err := fetch(gateway, c.Method, c.path, c.Request, patience, func() {
		if c.Then == "reset" {
			u.reset()
		}
	})
	if err != nil {
		return s, err
	}
	u.mu.Lock()
	s.Hits = u.hits[c.path]
	if c.Later != "" && u.last != nil {
		_, err = io.WriteString(u.last, c.Later)
	}
	u.mu.Unlock()
	if err != nil {
		return s, err
	}
	probe := "/probe" + strings.Replace(c.path, "/case/", "/after/", 1)
	after, err := fetch(gateway, "GET", probe, nil, patience, func() {})
	if err != nil {
		return s, err
	}
	if after.Result != "200" || after.Body != probe {
		s.Crossed = after.Result
		if len(after.Body) < 10 {
			s.Crossed += " " + after.Body
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s.Kept = u.over[probe] == u.over[c.path]
	u.hits[c.path] = 0
	return s, nil
}

// fetch sends a request over a connection of its own; between is called between the head of the response and its body.
func fetch(gateway, method, path string, headers map[string]string, patience time.Duration, between func()) (s Seen, err error) {
	c, err := net.Dial("tcp", gateway)
	if err != nil {
		return s, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return s, err
	}
	text := method + " " + path + " HTTP/1.1\r\nHost: x\r\n"
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		text += name + ": " + headers[name] + "\r\n"
	}
	if _, err := io.WriteString(c, text+"\r\n"); err != nil {
		return s, fmt.Errorf("send %s %s: %w", method, path, err)
	}
	br := bufio.NewReader(c)
	for s.Response == nil || s.Response.StatusCode < 200 {
		if s.Response, err = http.ReadResponse(br, &http.Request{Method: method}); err != nil {
			s.Result = "none"
			if e, ok := err.(net.Error); ok && e.Timeout() {
				s.Result = "silent"
			}
			return s, nil
		}
		if s.Response.StatusCode == http.StatusSwitchingProtocols {
			s.Result = "101"
			return s, nil
		}
	}
	between()
	s.Result = "cut"
	body, err := io.ReadAll(s.Response.Body)
	s.Body = string(body)
	switch {
	case err != nil:
		if e, ok := err.(net.Error); ok && e.Timeout() {
			s.Result = "silent"
		}
	case br.Buffered() > 0:
		s.Result = "more"
	default:
		s.Result = strconv.Itoa(s.Response.StatusCode)
	}
	return s, nil
}
