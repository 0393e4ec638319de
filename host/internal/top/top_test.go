package top

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/metrics"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

var infinity = math.Inf(1)

var update = flag.Bool("update", false, "write the tables into testdata")

// world is a gateway as its listeners show it.
type world struct {
	mu      sync.Mutex
	status  admin.Status
	metrics *metrics.Metrics
	broken  bool
}

func newWorld() *world {
	w := &world{status: admin.Status{
		Version: "1.2.3", Ready: true, Generation: admin.Generation{Number: 7, Hash: "bc4d66851cb433a9420fd28259c20ea2"},
		PluginServers: []pluginserver.Status{
			{
				State: pluginserver.State{Server: "go", Ready: true, State: "ready", Degraded: true}, InFlight: 3, Retired: 1, Canary: &pluginserver.Canary{Share: 0.05},
				Budgets: []budget.Status{{Waiting: 2}, {Plugin: "hello-go", Breaker: "half_open"}},
				Processes: []pluginserver.ProcessStatus{
					{Number: 0, PID: 101, State: "ready", Calls: 1000, InFlight: 3, RSSBytes: 20 << 20},
					{Number: 1, State: "down", Reason: "exit status 1:\n\x1b[31mred\x1b[0m", Restarts: 4},
				},
			},
			{State: pluginserver.State{Server: "py", State: "crash_loop", Reason: "5 ends within 1m"}, Processes: []pluginserver.ProcessStatus{{State: "crash_loop", Restarts: 5}}},
		},
	}}
	w.metrics = metrics.New("1.2.3", func() metrics.Status {
		return metrics.Status{LogsDropped: 6, Connections: metrics.Connections{Reading: 1, Writing: 2, Waiting: 30}}
	})
	return w
}

// traffic is what happens between two samples: requests, and calls of a plugin.
func (w *world) traffic() {
	in := &plan.Instance{Record: &entity.Plugin{Name: "hello-go"}, Server: "go"}
	for i := range 100 {
		w.metrics.Requests.Done(200, 3*time.Millisecond, time.Millisecond)
		c := &dispatch.Call{
			Instance: in, Phase: pdk.PhaseAccess, Duration: 200 * time.Microsecond, Asks: 1,
			Request: &wire.Call{Traffic: wire.Traffic{Sent: 1000, Received: 10}}, Outcome: &wire.Outcome{},
		}
		if i%20 == 0 {
			c.Code, c.Duration = dispatch.Timeout, 2*time.Second
		}
		w.metrics.Calls.After(c)
	}
	w.metrics.Requests.Done(503, time.Minute, 0)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.PluginServers[0].Processes[0].Calls += 100
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.broken:
		rw.WriteHeader(http.StatusTeapot)
	case r.URL.Path == "/status":
		_ = json.NewEncoder(rw).Encode(w.status)
	default:
		text, contentType, err := w.metrics.Text()
		if err != nil {
			rw.WriteHeader(http.StatusInternalServerError)
		}
		rw.Header().Set("Content-Type", contentType)
		_, _ = rw.Write(text)
	}
}

// source asks a world over HTTP.
func source(t *testing.T, w *world) *Source {
	t.Helper()
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	client := server.Client()
	client.Transport = rewrite{server.Listener.Addr().String()}
	return &Source{Client: client, Address: "the test"}
}

// rewrite sends what is for localhost to the server of the test.
type rewrite struct{ address string }

func (r rewrite) RoundTrip(req *http.Request) (*http.Response, error) {
	req.URL.Host = r.address
	return http.DefaultTransport.RoundTrip(req)
}

func sample(t *testing.T, s *Source, at time.Time) *Sample {
	t.Helper()
	out, err := s.Sample(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out.At = at
	return out
}

func TestTable(t *testing.T) {
	w := newWorld()
	s := source(t, w)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	idle := sample(t, s, start)
	w.traffic()
	busy := sample(t, s, start.Add(2*time.Second))
	for name, lines := range map[string][]string{
		"busy": Between(idle, busy).Lines(),
		"idle": Between(busy, sample(t, s, start.Add(4*time.Second))).Lines(),
	} {
		path := filepath.Join("testdata", name+".txt")
		got := strings.Join(lines, "\n") + "\n"
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: found\n%s\nexpected\n%s", name, got, want)
		}
	}
}

// A gateway that has started again since the last sample began to count anew.
func TestCountersThatBeganAgain(t *testing.T) {
	before, again := newWorld(), newWorld()
	before.traffic()
	before.traffic()
	again.traffic()
	start := time.Now()
	i := Between(sample(t, source(t, before), start), sample(t, source(t, again), start.Add(time.Second)))
	if i.requests.calls != 101 || i.plugins[0].calls != 100 || i.plugins[0].errors != 5 {
		t.Errorf("found %v requests, %v calls, %v errors", i.requests.calls, i.plugins[0].calls, i.plugins[0].errors)
	}
	if got, ok := i.plugins[0].quantile(0.5); !ok || got < 100*time.Microsecond || got > 250*time.Microsecond {
		t.Errorf("half of the calls took at most %v", got)
	}
}

func TestQuantile(t *testing.T) {
	inf := func(n float64) map[float64]float64 { return map[float64]float64{1: 50, 2: 100, infinity: n} }
	for _, c := range []struct {
		buckets map[float64]float64
		q       float64
		want    string
	}{
		{nil, 0.5, "-"}, {inf(0), 0.5, "1.0s"}, {inf(100), 0.5, "1.0s"}, {inf(100), 0.75, "1.5s"}, {inf(100), 0.25, "500ms"}, {inf(200), 0.99, "2.0s"},
		{map[float64]float64{1: 0, infinity: 0}, 0.5, "-"},
	} {
		if c.buckets != nil && c.buckets[infinity] == 0 {
			c.want = "-"
		}
		if got := (&flow{buckets: c.buckets}).time(c.q); got != c.want {
			t.Errorf("%v of %v: found %s, expected %s", c.q, c.buckets, got, c.want)
		}
	}
}

// screen is a terminal that tells the test what was drawn.
type screen struct {
	frames chan string
}

func (s *screen) Write(p []byte) (int, error) {
	s.frames <- string(p)
	return len(p), nil
}

// On a terminal the table is drawn in place, cut to the screen, until somebody types q. A gateway that goes away is a line.
func TestScreen(t *testing.T) {
	for _, key := range []string{"q", "\x03"} {
		w := newWorld()
		sc := &screen{frames: make(chan string)}
		keys, typed := io.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- Run(context.Background(), Options{
				Source: source(t, w), Interval: 10 * time.Millisecond, Out: sc, In: keys, Size: func() (int, int) { return 40, 6 },
			})
		}()
		frame := func(part string) string {
			t.Helper()
			deadline := time.After(30 * time.Second)
			for {
				select {
				case f := <-sc.frames:
					if strings.Contains(f, part) {
						return f
					}
				case err := <-done:
					t.Fatal("it ended: ", err)
				case <-deadline:
					t.Fatalf("no frame with %q", part)
				}
			}
		}
		frame("measuring for 10ms")
		f := frame("SERVER")
		rows := strings.Split(strings.TrimSuffix(strings.TrimPrefix(f, "\x1b[H"), "\x1b[J"), "\x1b[K\r\n")
		if !strings.HasPrefix(f, "\x1b[H") || len(rows) != 6 || !strings.Contains(rows[5], "more lines; q quits") {
			t.Errorf("found the frame %q", f)
		}
		for _, row := range rows {
			if n := len([]rune(strings.TrimSuffix(row, "\x1b[K"))); n > 40 {
				t.Errorf("a row of %d characters: %q", n, row)
			}
		}
		w.mu.Lock()
		w.broken = true
		w.mu.Unlock()
		frame("the gateway does not answer: found st") // cut
		go func() { _, _ = io.WriteString(typed, "x"+key) }()
		for ended := false; !ended; {
			select {
			case <-sc.frames:
			case err := <-done:
				ended = true
				if err != nil {
					t.Error(err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("it does not end")
			}
		}
		_ = typed.Close()
	}
}

// Elsewhere tables are plain text; a gateway that does not answer is an error.
func TestPlainText(t *testing.T) {
	w := newWorld()
	w.traffic()
	s := source(t, w)
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Source: s, Interval: time.Millisecond, Once: true, Out: &out}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.ContainsAny(text, "\x1b\r") || !strings.HasPrefix(text, "outrigger 1.2.3") || strings.Count(text, "SERVER") != 2 || strings.Count(text, "outrigger 1.2.3") != 1 {
		t.Errorf("found %q", text)
	}
	w.broken = true
	err := Run(t.Context(), Options{Source: s, Interval: time.Millisecond, Once: true, Out: &out})
	if want := "found status 418 for /status at the test, expected the Admin or status listener of a gateway"; fmt.Sprint(err) != want {
		t.Errorf("found %v, expected %s", err, want)
	}
}
