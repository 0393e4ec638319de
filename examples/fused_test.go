package examples

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// Plugins on one server travel together behind the real gateway, in every language over every carrier: each has its own span, which begins when the one
// before it has ended, and the gateway counts one call. With fuse: false each travels by itself, and the request gets the same.
func TestPluginsTravelTogether(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		for _, fuse := range []bool{true, false} {
			t.Run(fmt.Sprint(carrier, " ", fuse), func(t *testing.T) {
				t.Parallel()
				up := echoUpstream(t)
				var receiver spans
				collector := httptest.NewServer(&receiver)
				t.Cleanup(collector.Close)
				var servers []server
				var paths []string
				for _, l := range languages {
					servers = append(servers, testServer(l.name, carrier).with("fuse", fuse))
					paths = append(paths, route("/"+l.name, "{name: fault-"+l.name+", priority: 2000, config: {do: nothing}}", "{name: reach-"+l.name+"}"))
				}
				g := launch{
					settings: settings{
						"plugin_servers": servers, "telemetry_logs": true, "tracing_endpoint": collector.URL + "/v1/traces", "tracing_sampling_rate": 0, "status_listen": "127.0.0.1:0",
					},
					env: []string{"REACH_SECRET=s3cret"}, entities: routes(up.URL, paths...),
				}.start(t)
				for i, l := range languages {
					trace := fmt.Sprintf("1af7651916cd43dd8448eb211c80319%d", i)
					a := g.get(t, "/"+l.name, "Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
					seen := reached(t, a)
					root := receiver.find(t, trace, "GET r-"+l.name)
					first, second := receiver.find(t, trace, "fault-"+l.name+" access"), receiver.find(t, trace, "reach-"+l.name+" access")
					own := receiver.find(t, trace, "reach")
					if !bytes.Equal(second.GetParentSpanId(), root.GetSpanId()) || !bytes.Equal(own.GetParentSpanId(), second.GetSpanId()) {
						t.Errorf("%s: the spans do not hang together: %v, %v, %v", l.name, root, second, own)
					}
					if want := "00-" + trace + "-" + hex.EncodeToString(second.GetSpanId()) + "-01"; seen["traceparent"] != want {
						t.Errorf("%s: the second plugin saw %v, want %s", l.name, seen["traceparent"], want)
					}
					if first.GetEndTimeUnixNano() > second.GetStartTimeUnixNano() {
						t.Errorf("%s: the calls overlap: %v, %v", l.name, first, second)
					}
					_, metrics := page(t, statusOf(t, g)+"/metrics")
					if none := fmt.Sprintf("\noutrigger_fused_calls_total{server=%q} 0\n", l.name); strings.Contains(metrics, none) == fuse {
						t.Errorf("%s: fuse is %v, but /metrics has the line %q: %v", l.name, fuse, none, !fuse)
					}
					if one := fmt.Sprintf("\noutrigger_plugin_calls_total{code=\"ok\",phase=\"access\",plugin=\"reach-%s\",server=%q} 1\n", l.name, l.name); !strings.Contains(metrics, one) {
						t.Errorf("%s: /metrics has no line %q", l.name, one)
					}
				}
			})
		}
	}
}
