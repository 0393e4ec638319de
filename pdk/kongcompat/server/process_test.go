package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	outrigger "github.com/outrigger-gateway/outrigger/pdk"
	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

// patience bounds everything that must happen; machines may be loaded.
const patience = 3 * time.Minute

// program is a plugin server process, as the gateway starts it, with a data plane over gRPC.
type program struct {
	t      *testing.T
	client pluginv1.PluginServerClient
	stream pluginv1.PluginServer_DispatchClient
	errors string // file with what it wrote to standard error
}

func (p *program) stderr() []byte {
	text, _ := os.ReadFile(p.errors)
	return text
}

// build compiles one of the plugins in internal/plugins.
func build(ctx context.Context, t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kong-"+name)
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "../internal/plugins/"+name).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return path
}

func start(ctx context.Context, t *testing.T, path string) *program {
	t.Helper()
	dir, err := os.MkdirTemp("", "kc") // short: paths of sockets are limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	lifeline, mine, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, errors: filepath.Join(dir, "stderr")}
	stderr, err := os.Create(p.errors)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = append(os.Environ(), "OUTRIGGER_PLUGIN=82f1b1a5c0d94e1f", "PLUGIN_PROTOCOL_VERSIONS=1", "OUTRIGGER_RUN_DIR="+dir, "OUTRIGGER_LIFELINE_FD=3")
	cmd.Stderr, cmd.ExtraFiles = stderr, []*os.File{lifeline}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = lifeline.Close()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	t.Cleanup(func() {
		_ = mine.Close() // the host is gone: the program ends by itself
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	})
	address, ok := strings.CutPrefix(strings.TrimSuffix(strings.TrimSpace(line), "|grpc"), "1|1|unix|")
	if err != nil || !ok {
		t.Fatalf("the program said %q (%v)", line, err)
	}
	conn, err := grpc.NewClient("unix://"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p.client = pluginv1.NewPluginServerClient(conn)
	if p.stream, err = p.client.Dispatch(ctx); err != nil {
		t.Fatal(err)
	}
	hello := wire.HostHello{Version: wire.Version, NodeID: "n", Hostname: "gw", GatewayVersion: "0.2.0", MaxBody: 1 << 20, MaxShared: 1 << 16}
	p.send(&pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Hello{Hello: wirepb.HostHello(&hello)}})
	return p
}

func (p *program) send(m *pluginv1.DispatchRequest) {
	p.t.Helper()
	if err := p.stream.Send(m); err != nil {
		p.t.Fatalf("sending: %v\n%s", err, p.stderr())
	}
}

// configure makes instance 1.
func (p *program) configure(ctx context.Context, plugin, config string) []*pluginv1.FieldError {
	p.t.Helper()
	out, err := p.client.Configure(ctx, &pluginv1.ConfigureRequest{InstanceId: 1, Plugin: plugin, Config: []byte(config), RecordId: "r"})
	if err != nil {
		p.t.Fatal(err)
	}
	return out.GetErrors()
}

// call runs a handler of instance 1 for POST /a?key=wrong. Every question is answered with the same bytes.
func (p *program) call(phase outrigger.Phase, answer string) wire.Outcome {
	p.t.Helper()
	c := &wire.Call{Instance: 1, Phase: phase.Code(), TimeoutMS: 60_000, Facts: &wire.Facts{
		RequestID: strings.Repeat("0", 32), StartTime: 1,
		Request: wire.Request{
			Method: "POST", Scheme: "http", Host: "gw.test", Port: 8000, HTTPVersion: 11, Target: "/a?key=wrong", Path: "/a", RawQuery: "key=wrong",
			Headers: []wire.Header{{Name: "host", Value: "gw.test"}, {Name: "x-gone", Value: "1"}},
		},
		Client: wire.Client{IP: "10.0.0.9", Port: 1},
	}}
	p.send(&pluginv1.DispatchRequest{CallId: 7, Message: &pluginv1.DispatchRequest_Call{Call: wirepb.Call(c, wire.Slots{})}})
	for {
		m, err := p.stream.Recv()
		if err != nil {
			p.t.Fatalf("the stream ended: %v\n%s", err, p.stderr())
		}
		switch t := m.GetMessage().(type) {
		case *pluginv1.DispatchResponse_Ask:
			p.send(&pluginv1.DispatchRequest{CallId: 7, Message: &pluginv1.DispatchRequest_Answer{Answer: wirepb.Answer(&wire.Answer{Bytes: []byte(answer), IsBytes: true})}})
		case *pluginv1.DispatchResponse_Outcome:
			var out wire.Outcome
			if err := wirepb.OutcomeOf(t.Outcome, nil, &out); err != nil {
				p.t.Fatal(err)
			}
			return out
		}
	}
}

// TestProgramsOfKongPlugins starts each plugin as the gateway does and runs one handler of it.
func TestProgramsOfKongPlugins(t *testing.T) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	shipped := filepath.Join(t.TempDir(), "shipped")
	for _, c := range []struct {
		dir, plugin, config, answer string
		phase                       outrigger.Phase
		want                        []string // operations: number, name, and status or values
	}{
		{"hello", "kong-hello", `{"message":"hi"}`, "", outrigger.PhaseAccess, []string{"21 x-hello-from-go [Go says hi to gw.test] 0"}},
		{"keychecker", "key-checker", `{"apikey":"right","codes":[401]}`, "", outrigger.PhaseAccess, []string{"25  [] 401"}},
		{"headers", "headers", `{"remove":["x-gone"]}`, "body", outrigger.PhaseAccess, []string{
			"3 x-gone [] 0", "5 /v2/a [] 0", "6 from=&n=1&n=2 [] 0", "7  [] 0", "1 x-route [to] 0",
		}},
		{"logshipper", "log-shipper", fmt.Sprintf(`{"path":%q}`, shipped), `{"entry":1}`, outrigger.PhaseLog, nil},
	} {
		t.Run(c.dir, func(t *testing.T) {
			p := start(ctx, t, build(ctx, t, c.dir))
			if errs := p.configure(ctx, c.plugin, `{"nope":1}`); len(errs) != 1 || errs[0].GetPath() != "nope" {
				t.Errorf("a wrong configuration: %v", errs)
			}
			if errs := p.configure(ctx, c.plugin, c.config); len(errs) > 0 {
				t.Fatalf("configuring: %v", errs)
			}
			out := p.call(c.phase, c.answer)
			var got []string
			for _, op := range out.Ops {
				got = append(got, fmt.Sprintf("%d %s %v %d", op.Code, op.Name, op.Values, op.Status))
			}
			if out.Err != nil || !slices.Equal(got, c.want) {
				t.Errorf("outcome %v %q, expected %q\n%s", out.Err, got, c.want, p.stderr())
			}
		})
	}
	if line, err := os.ReadFile(shipped); err != nil || !strings.Contains(string(line), `"entry":{"entry":1}`) {
		t.Errorf("shipped %s %v", line, err)
	}
}
