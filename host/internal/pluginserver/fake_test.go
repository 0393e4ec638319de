package pluginserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/goplugin"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// fakeKey holds the orders of the fake plugin server: words separated by commas, some with a value.
//
//	plugin=NAME        name of the one plugin (echo)
//	starts=FILE        append a line at every start
//	listen=PATH        attached: serve the control plane here
//	slow=DURATION      wait before the handshake
//	silent             never print the handshake
//	junk               print lines before and after the handshake
//	flood              print 1 MiB on standard output after the handshake, one line over 64 KiB
//	exit_while=FILE    as exit=6 while FILE exists
//	refuse_while=FILE  Configure is refused while FILE exists
//	hog=BYTES          hold so much memory
//	exit=CODE          say why on standard error and exit before the handshake
//	crash_after=N      exit in the Nth call
//	die_in_configure   exit in Configure
//	hang_in_configure  Configure of an instance named "hang" never answers
//	ignore_shutdown    ignore GRPCController.Shutdown
//	ignore_term        ignore SIGTERM, and Shutdown
//	ignore_lifeline    outlive the host
//	child              start a child that ignores signals, in the same group
//	sick=FILE          health is NOT_SERVING while FILE exists
//	lanes=N            lanes wanted
//	exclusive          calls on a lane may not overlap
//	tcp                data plane on loopback TCP
//	version=V          of the plugin (1.2.3)
//	speaks=MIN-MAX     protocol versions
//	mute_while=FILE    handlers do not answer while FILE exists
//	unread_while=FILE  no lane is read while FILE exists
//	deaf=FILE          make FILE when a lane is opened before somebody watches the health
//	busy               says that calls still run after the time for draining
const fakeKey = "FAKE_SERVER"

// fake is a plugin server whose one plugin answers every call with its pid and the configuration of the instance. The path of the
// request can be an order: /crash, /hang, /closelane, /wait/FILE (until FILE exists).
type fake struct {
	pluginv1.UnimplementedPluginServerServer
	orders map[string]string
	token  []byte
	data   net.Listener
	stop   func()
	hog    []byte
	heard  atomic.Bool // somebody watches the health

	calls     atomic.Int64
	mu        sync.Mutex
	instances map[uint64]string
}

func (f *fake) on(order string) bool { _, ok := f.orders[order]; return ok }

// fakeMain is the whole process.
func fakeMain() {
	f := &fake{orders: map[string]string{}, instances: map[uint64]string{}, token: []byte(fmt.Sprint("token ", os.Getpid()))}
	for _, o := range strings.Split(os.Getenv(fakeKey), ",") {
		k, v, _ := strings.Cut(o, "=")
		f.orders[k] = v
	}
	if err := f.main(); err != nil {
		fmt.Fprintln(os.Stderr, "fake:", err)
		os.Exit(3)
	}
	os.Exit(0)
}

func (f *fake) main() error {
	if f.on("starts") {
		out, err := os.OpenFile(f.orders["starts"], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, os.Getpid())
		out.Close()
	}
	if f.on("exit_while") && exists(f.orders["exit_while"]) {
		os.Exit(6)
	}
	if n, err := strconv.Atoi(f.orders["hog"]); err == nil {
		f.hog = bytes.Repeat([]byte{1}, n)
	}
	if f.on("exit") {
		fmt.Fprintln(os.Stderr, "ImportError: no module named orders")
		code, _ := strconv.Atoi(f.orders["exit"])
		os.Exit(code)
	}
	if f.on("ignore_term") {
		signal.Ignore(syscall.SIGTERM)
	}
	if f.on("child") {
		child, err := os.StartProcess("/bin/sh", []string{"sh", "-c", `trap "" TERM INT HUP; while :; do sleep 600; done`}, &os.ProcAttr{
			Files: []*os.File{nil, os.Stdout, os.Stderr},
		})
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "child", child.Pid)
	}
	if fd, err := strconv.Atoi(os.Getenv(lifelineKey)); err == nil && !f.on("ignore_lifeline") {
		go func() {
			_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), "lifeline"))
			os.Exit(0)
		}()
	}
	if d, err := time.ParseDuration(f.orders["slow"]); err == nil {
		time.Sleep(d)
	}
	if f.on("silent") {
		fmt.Println("thinking")
		select {}
	}
	return f.serve()
}

func (f *fake) serve() (err error) {
	dir, control := os.Getenv(runDirKey), f.orders["listen"]
	if control == "" {
		if os.Getenv(cookieKey) != cookieValue || os.Getenv("PLUGIN_PROTOCOL_VERSIONS") != "1" {
			return fmt.Errorf("no magic cookie")
		}
		control = filepath.Join(dir, "control.sock")
	} else {
		dir = filepath.Dir(control)
		_ = os.Remove(control)
	}
	if f.on("tcp") {
		f.data, err = net.Listen("tcp", "127.0.0.1:0")
	} else {
		_ = os.Remove(filepath.Join(dir, "data.sock"))
		f.data, err = net.Listen("unix", filepath.Join(dir, "data.sock"))
	}
	if err != nil {
		return err
	}
	go f.acceptLanes()
	listener, err := net.Listen("unix", control)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	f.stop = server.Stop
	pluginv1.RegisterPluginServerServer(server, f)
	goplugin.RegisterController(server, f)
	h := health.NewServer()
	h.SetServingStatus(healthService, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, sickness{h, f.orders["sick"], &f.heard})
	if !f.on("listen") {
		if f.on("junk") {
			fmt.Print("hello from the server\nWARNING: 1|1|unix|not a handshake\n")
		}
		fmt.Printf("1|1|unix|%s|grpc\n", control)
		if f.on("junk") {
			fmt.Print("and after it\r\n1|1|unix|/again|grpc\nbinary \xff\xfe\x01\n")
			fmt.Fprintln(os.Stderr, "something on stderr")
		}
		if f.on("flood") {
			go f.flood()
		}
	}
	return server.Serve(listener)
}

const floodLines = 1 << 10

func (f *fake) flood() {
	fmt.Println(strings.Repeat("x", 3*maxLine/2))
	line := strings.Repeat("f", 1023) + "\n"
	for range floodLines {
		_, _ = os.Stdout.WriteString(line)
	}
	fmt.Println("flood ends")
}

// sickness is a health service that can be told to fail.
type sickness struct {
	grpc_health_v1.HealthServer
	file  string
	heard *atomic.Bool
}

func (s sickness) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if s.file != "" && exists(s.file) {
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
	}
	return s.HealthServer.Check(ctx, r)
}

func (s sickness) Watch(r *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer) error {
	s.heard.Store(true)
	said := grpc_health_v1.HealthCheckResponse_UNKNOWN
	for stream.Context().Err() == nil {
		now, err := s.Check(stream.Context(), r)
		if err == nil && now.Status != said {
			said, err = now.Status, stream.Send(now)
		}
		if err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

func (f *fake) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	name := f.orders["plugin"]
	if name == "" {
		name = "echo"
	}
	version := f.orders["version"]
	if version == "" {
		version = "1.2.3"
	}
	var oldest, newest uint32
	if _, err := fmt.Sscanf(f.orders["speaks"], "%d-%d", &oldest, &newest); err != nil {
		oldest, newest = wire.MinVersion, wire.Version
	}
	lanes, _ := strconv.Atoi(f.orders["lanes"])
	return &pluginv1.DescribeResponse{
		ProtocolVersion: newest, MinProtocolVersion: oldest, MaxProtocolVersion: newest, SdkLanguage: "go", SdkVersion: "0.0.0-fake",
		Plugins: []*pluginv1.PluginManifest{{Name: name, Version: version, Priority: 7, Phases: []string{"access"}, ConfigSchema: []byte(`{"type":"object"}`)}},
		DataPlanes: []*pluginv1.DataPlane{
			{Carrier: "grpc"},
			{Carrier: "msgpack", Network: f.data.Addr().Network(), Address: f.data.Addr().String(), Token: f.token},
		},
		Lanes: uint32(lanes), Overlapping: !f.on("exclusive"), Pid: uint32(os.Getpid()),
	}, nil
}

func (f *fake) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	switch {
	case f.on("die_in_configure"):
		os.Exit(9)
	case f.on("hang_in_configure") && r.InstanceName == "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case f.on("refuse_while") && exists(f.orders["refuse_while"]), strings.Contains(string(r.Config), "bad"):
		return &pluginv1.ConfigureResponse{Errors: []*pluginv1.FieldError{{Path: "limits.0", Message: "found bad, expected good"}}}, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances[r.InstanceId] = string(r.Config)
	return &pluginv1.ConfigureResponse{}, nil
}

func (f *fake) Release(_ context.Context, r *pluginv1.ReleaseRequest) (*pluginv1.ReleaseResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range r.InstanceIds {
		delete(f.instances, id)
	}
	return &pluginv1.ReleaseResponse{}, nil
}

func (f *fake) Drain(context.Context, *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	return &pluginv1.DrainResponse{Drained: !f.on("busy")}, nil
}

// Shutdown implements goplugin.ControllerServer.
func (f *fake) Shutdown(context.Context) error {
	if !f.on("ignore_shutdown") && !f.on("ignore_term") {
		go f.stop()
	}
	return nil
}

// handle runs one call; answer is called at most once.
func (f *fake) handle(instance uint64, path string, closeLane func(), answer func(body string, err *wire.Error)) {
	if n, err := strconv.Atoi(f.orders["crash_after"]); err == nil && f.calls.Add(1) >= int64(n) {
		os.Exit(8)
	}
	switch {
	case path == "/crash":
		os.Exit(7)
	case instance == 0: // refused below, without a handler
	case f.on("mute_while") && exists(f.orders["mute_while"]):
		return
	case path == "/hang":
		return
	case path == "/closelane":
		closeLane()
		return
	case strings.HasPrefix(path, "/wait/"):
		for !exists(strings.TrimPrefix(path, "/wait")) {
			time.Sleep(time.Millisecond)
		}
	}
	f.mu.Lock()
	config, ok := f.instances[instance]
	f.mu.Unlock()
	if !ok {
		answer("", &wire.Error{Code: wire.CodeUnknownInstance, Message: fmt.Sprint("instance ", instance)})
		return
	}
	answer(fmt.Sprintf("%d %s", os.Getpid(), config), nil)
}

func (f *fake) acceptLanes() {
	for {
		conn, err := f.data.Accept()
		if err != nil {
			return
		}
		go f.lane(conn)
	}
}

// read waits while no lane is to be read.
func (f *fake) read() {
	for f.on("unread_while") && exists(f.orders["unread_while"]) {
		time.Sleep(time.Millisecond)
	}
}

func (f *fake) laneOpened() {
	if f.on("deaf") && !f.heard.Load() {
		_ = os.WriteFile(f.orders["deaf"], nil, 0o600)
	}
}

// lane serves the msgpack carrier.
func (f *fake) lane(conn net.Conn) {
	defer conn.Close()
	f.laneOpened()
	if version, token, err := wire.ReadGreeting(conn); err != nil || version != wire.Version || string(token) != string(f.token) {
		return
	}
	var mu sync.Mutex
	send := func(call uint32, t wire.Type, body []byte) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = conn.Write(wire.AppendFrame(nil, call, t, body))
	}
	send(0, wire.TypeHello, wire.AppendServerHello(nil, &wire.ServerHello{Version: wire.Version, SDKLanguage: "go", PID: uint32(os.Getpid())}))
	in := wire.NewReader(conn)
	for {
		frame, body, err := in.Next()
		if err != nil {
			return
		}
		f.read()
		if frame.Type != wire.TypeCall {
			continue
		}
		var c wire.Call
		if err := wire.DecodeCall(append([]byte(nil), body...), nil, new(wire.SlotTable), &c); err != nil {
			return
		}
		go f.handle(c.Instance, c.Request.Path, func() { conn.Close() }, func(text string, err *wire.Error) {
			send(frame.Call, wire.TypeOutcome, wire.AppendOutcome(nil, &wire.Outcome{Err: err, Body: []byte(text), HasBody: err == nil}))
		})
	}
}

// Dispatch serves the grpc carrier.
func (f *fake) Dispatch(stream grpc.BidiStreamingServer[pluginv1.DispatchRequest, pluginv1.DispatchResponse]) error {
	var mu sync.Mutex
	send := func(r *pluginv1.DispatchResponse) {
		mu.Lock()
		defer mu.Unlock()
		_ = stream.Send(r)
	}
	closed := make(chan struct{})
	closeLane := sync.OnceFunc(func() { close(closed) })
	f.laneOpened()
	send(&pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Hello{Hello: &pluginv1.ServerHello{Version: wire.Version, Pid: uint32(os.Getpid())}}})
	requests := make(chan *pluginv1.DispatchRequest)
	go func() {
		defer close(requests)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			f.read()
			requests <- r
		}
	}()
	for {
		select {
		case <-closed:
			return nil
		case r, ok := <-requests:
			if !ok {
				return nil
			}
			c := r.GetCall()
			if c == nil {
				continue
			}
			path := string(c.Request.Path)
			if path == "" {
				path = string(c.Request.Target)
			}
			go f.handle(c.Instance, path, closeLane, func(text string, err *wire.Error) {
				o := &pluginv1.Outcome{Body: &pluginv1.Blob{Content: &pluginv1.Blob_Inline{Inline: []byte(text)}}}
				if err != nil {
					o = &pluginv1.Outcome{Failed: true, Error: &pluginv1.Error{Code: err.Code, Message: err.Message}}
				}
				send(&pluginv1.DispatchResponse{CallId: r.CallId, Message: &pluginv1.DispatchResponse_Outcome{Outcome: o}})
			})
		}
	}
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }
