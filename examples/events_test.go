package examples

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Server-sent events pass three body filters one by one: the upstream sends the next event only when the client has the one before.
func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			source := newEventSource()
			up := serve(t, source.ServeHTTP)
			entities := routes(up.URL, route("/events", "{name: stamp-go}", "{name: stamp-python}", "{name: stamp-js}", "{name: response-transformer, config: {add: {headers: ['x-added:yes']}}}"))
			g := launch{settings: settings{"plugin_servers": exampleServers(carrier)}, entities: entities}.start(t)
			resp, in := subscribe(t, g, "/events")
			if resp.Header.Get("X-Stamp-Go") != "go" || resp.Header.Get("X-Added") != "yes" {
				t.Errorf("found the head %v", resp.Header)
			}
			for n := range 20 {
				source.next <- n
				readEvent(t, in, n)
			}
			close(source.next)
			rest, err := io.ReadAll(in)
			if want := "\n-- stamped by python\n\n-- stamped by js\n\n-- stamped by go\n"; err != nil || string(rest) != want {
				t.Errorf("found the end %q, expected %q; %v", rest, want, err)
			}
		})
	}
}

// eventSource sends the events of one request: the next one only when the test asks for it. The head alone is sent at once.
type eventSource struct{ next chan int }

func newEventSource() eventSource { return eventSource{make(chan int)} }

func (s eventSource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.(http.Flusher).Flush()
	for {
		select {
		case n, more := <-s.next:
			if !more {
				return
			}
			fmt.Fprintf(w, "data: event %d\n\n", n)
			w.(http.Flusher).Flush()
		case <-r.Context().Done(): // the test has failed
			return
		}
	}
}

// subscribe sends a request and returns the stream of its events.
func subscribe(t *testing.T, g *gateway, path string) (*http.Response, *bufio.Reader) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", g.url(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.client.Do(r)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("GET %s: found %d %v, expected a stream of events", path, resp.StatusCode, resp.Header)
	}
	return resp, bufio.NewReader(resp.Body)
}

// readEvent reads one event and fails the test unless it is the one with this number.
func readEvent(t *testing.T, in *bufio.Reader, n int) {
	t.Helper()
	var event string
	for range 2 {
		l, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("event %d: %v", n, err)
		}
		event += l
	}
	if want := fmt.Sprintf("data: event %d\n\n", n); event != want {
		t.Fatalf("found %q, expected %q", event, want)
	}
}

// Each event reaches the client within 50 ms of being sent, through a body filter in a process of its own. An event is sent when the client has the one
// before, so that nothing but the way through is measured. The test runs alone; where a machine is busy all the same, single events may be late.
func TestServerSentEventsArriveAtOnce(t *testing.T) {
	const events, promised, bound = 100, 50 * time.Millisecond, 2 * time.Second
	for _, carrier := range carriers {
		sources := map[string]eventSource{}
		var list []string
		for _, l := range languages {
			sources["/"+l.name] = newEventSource()
			list = append(list, route("/"+l.name, "{name: pieces-"+l.name+"}"))
		}
		up := serve(t, func(w http.ResponseWriter, r *http.Request) { sources[r.URL.Path].ServeHTTP(w, r) })
		g := launch{binary: built.plain, settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
		for _, l := range languages {
			_, in := subscribe(t, g, "/"+l.name)
			took := make([]time.Duration, events)
			for n := range took {
				sent := time.Now()
				sources["/"+l.name].next <- n
				readEvent(t, in, n)
				took[n] = time.Since(sent)
			}
			close(sources["/"+l.name].next)
			if rest, err := io.ReadAll(in); err != nil || string(rest) != fmt.Sprintf("|%d pieces", events) {
				t.Errorf("%s over %s: found the end %q, expected that every event was a piece of its own; %v", l.name, carrier, rest, err)
			}
			slices.Sort(took)
			median, last := took[events/2], took[events-1]
			t.Logf("%-6s over %-7s: %d events, median %v, 95 of 100 within %v, the slowest %v", l.name, carrier, events, median, took[events*95/100], last)
			if median > promised || last > bound {
				t.Errorf("%s over %s: the median is %v, expected at most %v; the slowest took %v, expected at most %v", l.name, carrier, median, promised, last, bound)
			}
		}
	}
}

// A plugin that edits only headers, in the response phase or in header_filter, never makes the gateway wait for the body: the client has each event
// before the next one is sent.
func TestLesson17HeaderEditsNeverBuffer(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			sources := map[string]eventSource{}
			var list []string
			for _, l := range languages {
				for _, phase := range []string{"response", "header_filter"} {
					plugin := map[string]string{"response": "fault-response-", "header_filter": "fault-"}[phase] + l.name
					path := "/" + phase + "/" + l.name
					sources[path] = newEventSource()
					list = append(list, route(path, fmt.Sprintf("{name: %s, config: {do: edit, phase: %s}}", plugin, phase)))
				}
			}
			up := serve(t, func(w http.ResponseWriter, r *http.Request) { sources[r.URL.Path].ServeHTTP(w, r) })
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
			for path, source := range sources {
				resp, in := subscribe(t, g, path) // the head comes before any event
				if resp.StatusCode != 299 || resp.Header.Get("X-Fault") != "left" {
					t.Errorf("%s: found %d %v, expected what the plugin set", path, resp.StatusCode, resp.Header)
				}
				for n := range 3 {
					source.next <- n
					readEvent(t, in, n)
				}
				close(source.next)
				if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
					t.Errorf("%s: found the end %q; %v", path, rest, err)
				}
			}
		})
	}
}

// A body is taken into memory only for who asks for it: by a need of the manifest or a question in the response phase, or by enable_buffering before
// body_filter.
func TestResponseBodiesAreBufferedOnRequest(t *testing.T) {
	t.Parallel()
	const parts = 5
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for range parts {
			fmt.Fprint(w, strings.Repeat("x", 1000))
			w.(http.Flusher).Flush()
		}
	})
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			var list []string
			for _, l := range languages {
				for _, kind := range []string{"whole", "need-whole"} {
					list = append(list, route("/"+kind+"/"+l.name, "{name: "+kind+"-"+l.name+"}"))
				}
				list = append(list, route("/buffer/"+l.name, "{name: pieces-"+l.name+", config: {buffer: true}}"))
			}
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
			for _, l := range languages {
				for _, kind := range []string{"whole", "need-whole"} {
					for range 2 { // the second call may carry what the first one asked for
						a := g.get(t, "/"+kind+"/"+l.name).want(t, 200).wantHeader(t, "X-Whole", fmt.Sprint(parts*1000))
						if len(a.body) != parts*1000 {
							t.Errorf("%s-%s: the client got %d bytes, expected %d", kind, l.name, len(a.body), parts*1000)
						}
					}
				}
				a := g.get(t, "/buffer/"+l.name).want(t, 200)
				if !strings.HasSuffix(string(a.body), "x|1 pieces") || len(a.body) != parts*1000+len("|1 pieces") {
					t.Errorf("pieces-%s: found %d bytes that end with %q, expected the whole body in one piece", l.name, len(a.body), a.body[max(0, len(a.body)-20):])
				}
			}
		})
	}
}
