package examples

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is a response that has been read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) String() string {
	body := a.body
	if len(body) > 2000 {
		body = append(append([]byte{}, body[:2000]...), "…"...)
	}
	return fmt.Sprintf("%d %v %s", a.status, a.header, body)
}

// do sends a request and reads the answer.
func (g *gateway) do(method, path string, body []byte, headers ...string) (*answer, error) {
	return g.send(method, path, bytes.NewReader(body), headers...)
}

// send is do with a body that may come piece by piece.
func (g *gateway) send(method, path string, body io.Reader, headers ...string) (*answer, error) {
	return g.sendWithin(patience, method, path, body, headers...)
}

// sendWithin is send with another time for the whole answer.
func (g *gateway) sendWithin(most time.Duration, method, path string, body io.Reader, headers ...string) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, g.url(path), body)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(headers); i += 2 {
		if strings.EqualFold(headers[i], "Host") {
			r.Host = headers[i+1]
			continue
		}
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	resp, err := g.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return a, fmt.Errorf("reading the body of %s: %w", path, err)
	}
	return a, nil
}

// get sends a GET request and fails the test when there is no complete answer.
func (g *gateway) get(t testing.TB, path string, headers ...string) *answer {
	t.Helper()
	a, err := g.do("GET", path, nil, headers...)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return a
}

// want fails the test when the answer has another status.
func (a *answer) want(t testing.TB, status int) *answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("found %v, expected status %d", a, status)
	}
	return a
}

// wantHeader fails the test when a header has other values; no values: it must not be there.
func (a *answer) wantHeader(t testing.TB, name string, values ...string) *answer {
	t.Helper()
	if found := a.header.Values(name); !equal(found, values) {
		t.Errorf("header %s: found %q, expected %q; the answer is %v", name, found, values, a)
	}
	return a
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// echoed is what an echo upstream was sent.
type echoed struct {
	Method  string              `json:"method"`
	URI     string              `json:"uri"`
	Host    string              `json:"host"`
	Headers map[string][]string `json:"headers"` // names lower-cased
	Body    string              `json:"body"`
}

// echo reads the body of an answer that an echo upstream made.
func (a *answer) echo(t testing.TB) echoed {
	t.Helper()
	var e echoed
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("found %v, expected the JSON of the echo upstream: %v", a, err)
	}
	return e
}

// wantUpstream fails the test when the upstream got other values of a header.
func (e echoed) wantUpstream(t testing.TB, name string, values ...string) {
	t.Helper()
	if found := e.Headers[strings.ToLower(name)]; !equal(found, values) {
		t.Errorf("upstream header %s: found %q, expected %q", name, found, values)
	}
}

// serve starts an upstream.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.IdleTimeout = time.Minute
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// echoUpstream answers with what it was sent.
func echoUpstream(t testing.TB) *httptest.Server { return serve(t, echoHandler) }

func echoHandler(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway gave up
	}
	e := echoed{Method: r.Method, URI: r.RequestURI, Host: r.Host, Headers: map[string][]string{}, Body: string(body)}
	for name, values := range r.Header {
		e.Headers[strings.ToLower(name)] = values
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(e) // it fails when the gateway gave up
}
