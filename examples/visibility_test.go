package examples

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is a receiver of OTLP over HTTP.
type spans struct {
	mu   sync.Mutex
	came []*tracepb.Span
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var reader io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		reader = z
	}
	body, err := io.ReadAll(reader)
	var request collectorpb.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range request.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			s.came = append(s.came, scope.GetSpans()...)
		}
	}
}

// find waits for the span of a trace with a name.
func (s *spans) find(t *testing.T, trace, name string) *tracepb.Span {
	t.Helper()
	var found *tracepb.Span
	eventually(t, patience, "the span "+name, func() (bool, string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, span := range s.came {
			if span.GetName() == name && hex.EncodeToString(span.GetTraceId()) == trace {
				found = span
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d spans came", len(s.came))
	})
	return found
}

// statusOf is where the status listener of a gateway is.
func statusOf(t *testing.T, g *gateway) string {
	t.Helper()
	open := g.log.wait(t, 0, "the status listener", func(n line) bool { return n.has("msg", "the status listener is open") })
	return "http://" + open.text("address")
}

func page(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// A trace goes through the gateway into the plugins of every language and comes back with what they traced; every call is counted.
func TestTracesAndMetrics(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			up := echoUpstream(t)
			var receiver spans
			collector := httptest.NewServer(&receiver)
			t.Cleanup(collector.Close)
			var paths []string
			for _, l := range languages {
				paths = append(paths, route("/"+l.name, "{name: reach-"+l.name+"}"))
			}
			g := launch{
				settings: settings{
					"plugin_servers": testServers(carrier), "telemetry_logs": true, "tracing_endpoint": collector.URL + "/v1/traces", "tracing_sampling_rate": 0,
					"status_listen": "127.0.0.1:0", "server_timing": "on",
				},
				env: []string{"REACH_SECRET=s3cret"}, entities: routes(up.URL, paths...),
			}.start(t)
			for i, l := range languages {
				trace := fmt.Sprintf("0af7651916cd43dd8448eb211c80319%d", i)
				a := g.get(t, "/"+l.name, "Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
				seen := reached(t, a)
				root := receiver.find(t, trace, "GET r-"+l.name)
				call := receiver.find(t, trace, "reach-"+l.name+" access")
				own := receiver.find(t, trace, "reach")
				upstream := receiver.find(t, trace, "upstream")
				if hex.EncodeToString(root.GetParentSpanId()) != "b7ad6b7169203331" || !bytes.Equal(call.GetParentSpanId(), root.GetSpanId()) ||
					!bytes.Equal(own.GetParentSpanId(), call.GetSpanId()) || !bytes.Equal(upstream.GetParentSpanId(), root.GetSpanId()) {
					t.Errorf("%s: the spans do not hang together: %v, %v, %v, %v", l.name, root, call, own, upstream)
				}
				if want := "00-" + trace + "-" + hex.EncodeToString(call.GetSpanId()) + "-01"; seen["traceparent"] != want {
					t.Errorf("%s: the plugin saw %v, want %s", l.name, seen["traceparent"], want)
				}
				if got, want := strings.Join(a.echo(t).Headers["traceparent"], ","), "00-"+trace+"-"+hex.EncodeToString(upstream.GetSpanId())+"-01"; got != want {
					t.Errorf("%s: the upstream saw %q, want %s", l.name, got, want)
				}
				if timing := a.header.Get("Server-Timing"); !strings.Contains(timing, "reach-"+l.name+`;desc="reach-`+l.name+` access";dur=`) {
					t.Errorf("%s: Server-Timing is %q", l.name, timing)
				}
			}
			// Log phases run behind their requests.
			eventually(t, patience, "every call to be counted", func() (bool, string) {
				_, text := page(t, statusOf(t, g)+"/metrics")
				for _, l := range languages {
					for _, line := range []string{
						fmt.Sprintf(`outrigger_plugin_calls_total{code="ok",phase="access",plugin="reach-%s",server="%s"} 1`, l.name, l.name),
						fmt.Sprintf(`outrigger_plugin_calls_total{code="ok",phase="log",plugin="reach-%s",server="%s"} 1`, l.name, l.name),
						fmt.Sprintf(`outrigger_plugin_process_up{process="0",server="%s"} 1`, l.name),
					} {
						if !strings.Contains(text, "\n"+line+"\n") {
							return false, line + " is not there"
						}
					}
					for _, name := range []string{"host_calls", "sent_bytes", "received_bytes"} {
						if zero := fmt.Sprintf(`outrigger_plugin_%s_total{phase="access",plugin="reach-%s",server="%s"} 0`, name, l.name, l.name); strings.Contains(text, zero+"\n") {
							return false, zero
						}
					}
				}
				return strings.Contains(text, "\noutrigger_requests_total{code=\"2xx\"} 3\n"), text
			})
			out, err := exec.Command(built.host, "top", "--once", "--interval", "100ms", "--status", strings.TrimPrefix(statusOf(t, g), "http://")).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "reach-python") {
				t.Errorf("top: %v\n%s", err, out)
			}
		})
	}
}

// While a plugin server is down the gateway is not ready, and says which one and why.
func TestReadiness(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	g := launch{
		settings: settings{"plugin_servers": []server{exampleServer("python", "msgpack")}, "status_listen": "127.0.0.1:0"},
		entities: routes(up.URL, route("/python", "{name: hello-python}")),
	}.start(t)
	base := statusOf(t, g)
	for _, path := range []string{"/ready", "/status/ready"} {
		if status, body := page(t, base+path); status != 200 || body != "{\n  \"ready\": true\n}\n" {
			t.Errorf("%s: found %d %s", path, status, body)
		}
	}
	if err := syscall.Kill(g.serverPID(t, "python"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Ready   bool
		Reasons []struct{ Server, State, Reason string }
	}
	eventually(t, patience, "the gateway not to be ready", func() (bool, string) {
		status, body := page(t, base+"/ready")
		if status != 503 {
			return false, body
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		return true, ""
	})
	if answer.Ready || len(answer.Reasons) != 1 || answer.Reasons[0].Server != "python" || answer.Reasons[0].State == "" || answer.Reasons[0].Reason == "" {
		t.Errorf("found %+v", answer)
	}
	eventually(t, patience, "the gateway to be ready again", func() (bool, string) {
		status, body := page(t, base+"/ready")
		return status == 200, body
	})
	if status, body := page(t, base+"/explain?url=/"); status != 404 {
		t.Errorf("the status listener explains: %d %s", status, body)
	}
}
