package pluginserver

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
)

// says is a server that answers Describe with one message.
type says struct {
	pluginv1.PluginServerClient
	answer *pluginv1.DescribeResponse
}

func (s says) Describe(context.Context, *pluginv1.DescribeRequest, ...grpc.CallOption) (*pluginv1.DescribeResponse, error) {
	return s.answer, nil
}

// FuzzDescribe lets a server describe itself in any way: what is taken keeps the host's rules.
func FuzzDescribe(f *testing.F) {
	whole := &pluginv1.DescribeResponse{
		ProtocolVersion: 1, MinProtocolVersion: 1, MaxProtocolVersion: 3, SdkLanguage: "go", SdkVersion: "1", Lanes: 2, Overlapping: true, Pid: 9,
		Plugins: []*pluginv1.PluginManifest{{Name: "p", Version: "1", Priority: 7, Phases: []string{"access", "log"}, ConfigSchema: []byte(`{"type":"object"}`), Authenticates: true, Needs: []string{"request_body"}}},
		DataPlanes: []*pluginv1.DataPlane{
			{Carrier: "msgpack", Network: "tcp", Address: "127.0.0.1:9", Token: []byte("t")}, {Carrier: "msgpack", Network: "unix", Address: "/x", Token: []byte("t")}, {Carrier: "grpc"},
		},
	}
	for _, change := range []func(*pluginv1.DescribeResponse){
		func(*pluginv1.DescribeResponse) {},
		func(m *pluginv1.DescribeResponse) { m.DataPlanes = m.DataPlanes[:1] },
		func(m *pluginv1.DescribeResponse) { m.DataPlanes[0].Address = ":9" },
		func(m *pluginv1.DescribeResponse) { m.DataPlanes[0].Address = "" },
		func(m *pluginv1.DescribeResponse) { m.Plugins = append(m.Plugins, m.Plugins[0]) },
		func(m *pluginv1.DescribeResponse) { m.ProtocolVersion = 9 },
	} {
		m := proto.Clone(whole).(*pluginv1.DescribeResponse)
		change(m)
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, overGRPC bool) {
		m := new(pluginv1.DescribeResponse)
		if proto.Unmarshal(b, m) != nil {
			return
		}
		cfg := &Config{Name: "s", Carrier: CarrierMsgpack}
		if overGRPC {
			cfg.Carrier = CarrierGRPC
		}
		for _, control := range []address{{"unix", "/run/s"}, {"tcp", "127.0.0.1:7000"}} {
			d, err := describe(context.Background(), says{answer: m}, cfg, control, "0")
			if err != nil {
				continue
			}
			if d.lanes < 1 || d.lanes > maxLanes || len(d.manifests) == 0 || d.version != 1 {
				t.Errorf("took %+v", d)
			}
			seen := map[string]bool{}
			for _, p := range d.manifests {
				if p.Name == "" || seen[p.Name] || len(p.Phases) == 0 || slices.ContainsFunc(p.Phases, func(s string) bool { return !slices.Contains(phases, s) }) {
					t.Errorf("took the plugin %+v", p)
				}
				seen[p.Name] = true
			}
			switch host, _, _ := strings.Cut(d.plane.addr, ":"); {
			case overGRPC && d.plane.network != "", !overGRPC && d.plane.network != "unix" && d.plane.network != "tcp":
				t.Errorf("took the data plane %+v", d.plane)
			case d.plane.network == "tcp" && strings.Contains(host, "."):
				if !loopbackHost(host) {
					t.Errorf("plain TCP to %s", d.plane.addr)
				}
			}
		}
	})
}

// FuzzOutput lets a managed server print anything: no line is lost or longer than it may be, and one handshake line at most goes on.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("1|1|unix|/run/x/plugin123|grpc\n"), uint16(1))
	f.Add([]byte("loading…\r\n1|1|tcp|127.0.0.1:1234|grpc|\nTraceback:\n  File \"x\"\n\nValueError: \xff\nNode.js v20"), uint16(7))
	f.Add([]byte("a\n1|1|unix|/a|grpc\n"), uint16(maxLine-1))
	f.Fuzz(func(t *testing.T, out []byte, times uint16) {
		if len(out)*int(times) < 4*maxLine {
			out = bytes.Repeat(out, int(times))
		}
		var back strings.Builder
		var last lastLine
		parts := 0
		eachLine(bytes.NewReader(out), func(line string, part int, more bool) {
			if len(line) > 3*maxLine || !utf8.ValidString(line) {
				t.Errorf("a line of %d bytes: %.100q", len(line), line)
			}
			if parts > 0 && part != parts+1 || parts == 0 && part > 1 || more && part == 0 {
				t.Errorf("part %d after %d", part, parts)
			}
			if parts = part; !more {
				parts = 0
			}
			if part == 0 && isHandshake(line) && strings.Count(line, "|") < 4 {
				t.Errorf("%q is no handshake", line)
			}
			back.WriteString(strings.ReplaceAll(line, "\r", ""))
			last.set("stdout", line)
		})
		if got, want := plainText(back.String()), plainText(string(out)); got != want {
			t.Errorf("lost or made up: %d bytes, want %d", len(got), len(want))
		}
		if len(last.String()) > 2000 {
			t.Errorf("the last line has %d bytes", len(last.String()))
		}
	})
}

// plainText leaves what lines keep: no ends of lines, and nothing of what is not ASCII, whose bytes the parts of a line may have parted.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r >= utf8.RuneSelf {
			return -1
		}
		return r
	}, s)
}
