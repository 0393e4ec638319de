package server

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/outrigger-gateway/outrigger/pdk"
	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// event is one message of the server on a lane.
type event struct {
	id      uint32
	step    int
	outcome *wire.Outcome
	ask     *wire.Ask
	line    *wire.LogLine
	goaway  *wire.GoAway
	err     error // the lane ended
}

// hostLane is the host's end of a lane in these tests.
type hostLane interface {
	call(id uint32, c *wire.Call)
	answer(id uint32, step int, a *wire.Answer)
	cancel(id uint32)
	entity(slot uint16, e *wire.Entity)
	next() event
	close()
}

// plainHello is a host's hello.
var plainHello = wire.HostHello{
	Version: wire.Version, NodeID: "n", Hostname: "gw", GatewayVersion: "0", TrustedCIDRs: []string{"10.0.0.0/8"},
	LogLevel: 1, MaxBody: 8 << 20, MaxShared: 1 << 20, ClusterID: "c", TelemetryLogs: true,
}

// fixture is a server in this process with a control connection.
type fixture struct {
	t       testing.TB
	server  *Server
	conn    *grpc.ClientConn
	client  pluginv1.PluginServerClient
	served  chan error
	stop    context.CancelFunc
	carrier string
}

func start(t testing.TB, carrier string, plugins ...pdk.Plugin) *fixture {
	t.Helper()
	return startWith(t, carrier, func(*Server) {}, plugins...)
}

// startWith changes the server before it serves.
func startWith(t testing.TB, carrier string, change func(*Server), plugins ...pdk.Plugin) *fixture {
	t.Helper()
	if plugins == nil {
		plugins = []pdk.Plugin{probePlugin}
	}
	s, err := New(plugins...)
	if err != nil {
		t.Fatal(err)
	}
	change(s)
	dir := t.TempDir()
	l := Listeners{}
	if l.Control, err = listenUnix(filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	if l.Data, err = listenUnix(filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &fixture{t: t, server: s, served: make(chan error, 1), stop: stop, carrier: carrier}
	go func() { f.served <- s.Serve(ctx, l) }()
	f.conn, f.client = dialControl(t, filepath.Join(dir, "c"))
	t.Cleanup(func() {
		stop()
		select {
		case err := <-f.served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(2 * patience):
			t.Error("the server does not end")
		}
	})
	return f
}

func dialControl(t testing.TB, path string) (*grpc.ClientConn, pluginv1.PluginServerClient) {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20), grpc.MaxCallSendMsgSize(32<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, pluginv1.NewPluginServerClient(conn)
}

func (f *fixture) configure(id uint64, config string) {
	f.t.Helper()
	out, err := f.client.Configure(context.Background(), &pluginv1.ConfigureRequest{InstanceId: id, Plugin: "probe", Config: []byte(config), RecordId: "record"})
	if err != nil || len(out.Errors) > 0 {
		f.t.Fatalf("configuring: %v %v", err, out.GetErrors())
	}
}

// probe configures the probe to do something.
func (f *fixture) probe(id uint64, do, mark string) {
	f.t.Helper()
	f.configure(id, fmt.Sprintf(`{"do":%q,"mark":%q}`, do, mark))
}

// lane opens a lane of the fixture's carrier.
func (f *fixture) lane() hostLane {
	f.t.Helper()
	if f.carrier == "grpc" {
		return openStream(f.t, f.client)
	}
	d, err := f.client.Describe(context.Background(), &pluginv1.DescribeRequest{ProtocolVersion: 1})
	if err != nil {
		f.t.Fatal(err)
	}
	return openSocket(f.t, d)
}

func dataPlane(t testing.TB, d *pluginv1.DescribeResponse) *pluginv1.DataPlane {
	t.Helper()
	for _, p := range d.DataPlanes {
		if p.Carrier == "msgpack" {
			return p
		}
	}
	t.Fatalf("no data plane of carrier msgpack in %v", d.DataPlanes)
	return nil
}

// socketLane is a lane of carrier msgpack.
type socketLane struct {
	t      testing.TB
	conn   net.Conn
	mu     sync.Mutex // of writes
	events chan event
}

func openSocket(t testing.TB, d *pluginv1.DescribeResponse) *socketLane {
	t.Helper()
	plane := dataPlane(t, d)
	conn, err := net.Dial(plane.Network, plane.Address)
	if err != nil {
		t.Fatal(err)
	}
	l := &socketLane{t: t, conn: conn, events: make(chan event, 10_000)}
	t.Cleanup(l.close)
	l.write(wire.AppendGreeting(nil, plane.Token))
	l.frame(0, wire.TypeHello, wire.AppendHostHello(nil, &plainHello))
	go l.read()
	return l
}

func (l *socketLane) write(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.conn.Write(b)
}

func (l *socketLane) frame(id uint32, t wire.Type, body []byte) {
	l.write(wire.AppendFrame(nil, id, t, body))
}

// callFrames are a call with its chunks.
func callFrames(id uint32, c *wire.Call, slots wire.Slots) []byte {
	var b []byte
	for _, large := range wire.AppendLargeOfCall(nil, c) {
		b = wire.AppendChunks(b, id, large)
	}
	return wire.AppendFrame(b, id, wire.TypeCall, wire.AppendCall(nil, c, slots))
}

func (l *socketLane) call(id uint32, c *wire.Call) { l.write(callFrames(id, c, testSlots)) }

func (l *socketLane) answer(id uint32, step int, a *wire.Answer) {
	var b []byte
	if len(a.Bytes) > wire.ChunkSize {
		b = wire.AppendChunks(b, id, a.Bytes)
	}
	start := len(b)
	b = wire.AppendAnswer(wire.BeginFrame(b), a)
	wire.EndFrameStep(b, start, id, wire.TypeAnswer, uint16(step))
	l.write(b)
}

func (l *socketLane) cancel(id uint32) { l.frame(id, wire.TypeCancel, nil) }

func (l *socketLane) entity(slot uint16, e *wire.Entity) {
	l.frame(0, wire.TypeEntity, wire.AppendEntity(nil, slot, e))
}

func (l *socketLane) close() { _ = l.conn.Close() }

func (l *socketLane) next() event { return nextEvent(l.t, l.events) }

func nextEvent(t testing.TB, events chan event) event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("the server says nothing")
		return event{}
	}
}

func (l *socketLane) read() {
	frames := wire.NewReader(l.conn)
	bulk := map[uint32]*wire.Gather{}
	gathered := func(id uint32) []byte {
		if g := bulk[id]; g != nil {
			return g.Take()
		}
		return nil
	}
	first := true
	for {
		f, body, err := frames.Next()
		if err != nil {
			l.events <- event{err: err}
			return
		}
		body = append([]byte(nil), body...)
		if first != (f.Type == wire.TypeHello) {
			l.events <- event{err: fmt.Errorf("found a %s frame", f.Type)}
			return
		}
		first = false
		e := event{id: f.Call, step: int(f.Step)}
		switch f.Type {
		case wire.TypeHello:
			_, err = wire.DecodeServerHello(body)
		case wire.TypeOutcome:
			e.outcome = &wire.Outcome{}
			err = wire.DecodeOutcome(body, gathered(f.Call), e.outcome)
		case wire.TypeAsk:
			var a wire.Ask
			a, err = wire.DecodeAsk(body)
			e.ask = &a
		case wire.TypeLog:
			var line wire.LogLine
			line, err = wire.DecodeLog(body)
			e.line = &line
		case wire.TypeGoAway:
			var g wire.GoAway
			g, err = wire.DecodeGoAway(body)
			e.goaway = &g
		case wire.TypeChunk:
			if bulk[f.Call] == nil {
				bulk[f.Call] = &wire.Gather{}
			}
			bulk[f.Call].Add(body, 64<<20)
			continue
		default:
			err = fmt.Errorf("found a %s frame", f.Type)
		}
		if err != nil {
			l.events <- event{err: err}
			return
		}
		if f.Type != wire.TypeHello {
			l.events <- e
		}
	}
}

// testSlots are where the tests put their entities.
var testSlots = wire.Slots{Route: 1, Service: 2, Consumer: 3}

// newCall is a call of access as most tests need it.
func newCall(instance uint64, headers ...string) *wire.Call {
	c := &wire.Call{Instance: instance, Phase: pdk.PhaseAccess.Code(), TimeoutMS: 60_000, Facts: &wire.Facts{
		RequestID: "0123456789abcdef0123456789abcdef", StartTime: 1700000000123,
		Request: wire.Request{Method: "GET", Scheme: "http", Host: "gw.test", Port: 8000, HTTPVersion: 11, Target: "/p?x=1", Path: "/p", RawQuery: "x=1"},
		Client:  wire.Client{IP: "10.0.0.9", Port: 40000, ForwardedIP: "10.0.0.9"},
	}}
	for i := 0; i < len(headers); i += 2 {
		c.Request.Headers = append(c.Request.Headers, wire.Header{Name: headers[i], Value: headers[i+1]})
	}
	return c
}

// outcome reads up to the next outcome, answering asks and collecting log lines.
func outcome(t testing.TB, l hostLane, answer func(id uint32, a *wire.Ask) wire.Answer) (event, []wire.LogLine) {
	t.Helper()
	var lines []wire.LogLine
	for {
		e := l.next()
		switch {
		case e.outcome != nil:
			return e, lines
		case e.line != nil:
			lines = append(lines, *e.line)
		case e.ask != nil && answer != nil:
			a := answer(e.id, e.ask)
			l.answer(e.id, e.step, &a)
		default:
			t.Fatalf("found %+v instead of an outcome", e)
		}
	}
}
