package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// roleKey makes this test binary something else: a plugin server, or the parent of one.
const roleKey = "OUTRIGGER_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleKey) {
	case "server":
		Serve(probePlugin)
	case "parent":
		parent()
	default:
		os.Exit(m.Run())
	}
}

// parent starts a plugin server with a lifeline, prints its pid, and waits for its death, or leaves at once when told so. The lifeline is
// descriptor 3 when the caller gave one, else a pipe of its own.
func parent() {
	lifeline := os.NewFile(3, "lifeline")
	if os.Getenv("OUTRIGGER_TEST_LEAVE") == "" {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		lifeline = r
		defer func() { _ = w.Close() }()
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleKey+"=server", cookieKey+"="+cookieValue, lifelineKey+"=3")
	cmd.ExtraFiles = []*os.File{lifeline}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	fmt.Println("pid", cmd.Process.Pid)
	if os.Getenv("OUTRIGGER_TEST_LEAVE") != "" {
		os.Exit(0)
	}
	_ = cmd.Wait()
}

// output collects what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// process is a started copy of this binary. It is killed when the test ends.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan error
}

func launch(t *testing.T, role string, env []string, files []*os.File, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), done: make(chan error, 1)}
	p.cmd.Env = append(append(os.Environ(), roleKey+"="+role), env...)
	p.cmd.ExtraFiles = files
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("stdout %q\nstderr %s", p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

// wait gives the exit code.
func (p *process) wait(limit time.Duration) int {
	p.t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		p.t.Fatal("the process does not end")
		return 0
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", limit, what)
		}
	}
}

func alive(pid int) bool {
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		if _, after, ok := strings.Cut(string(b), ") "); ok && strings.HasPrefix(after, "Z") {
			return false // it is over, and only waits for its parent
		}
	}
	return syscall.Kill(pid, 0) == nil
}

// sockets lists the files of a run directory.
func sockets(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// shortDir is a directory whose path leaves room for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "or-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// managedEnv is the environment that a host gives.
func managedEnv(dir string) []string {
	return []string{cookieKey + "=" + cookieValue, versionsKey + "=1", runDirKey + "=" + dir}
}

// handshakeOf waits for the handshake line and gives the control socket.
func handshakeOf(t *testing.T, stdout *output) string {
	t.Helper()
	var path string
	eventually(t, "the handshake line", patience, func() bool {
		for line := range strings.Lines(stdout.String()) {
			if f := strings.Split(strings.TrimSpace(line), "|"); len(f) == 5 && f[0] == "1" && f[1] == "1" && f[2] == "unix" && f[4] == "grpc" {
				path = f[3]
			}
		}
		return path != ""
	})
	return path
}

// works makes one call over carrier msgpack.
func works(t *testing.T, client pluginv1.PluginServerClient) {
	t.Helper()
	f := &fixture{t: t, client: client, carrier: "msgpack"}
	f.probe(1, "mark", "works")
	l := f.lane()
	l.call(1, newCall(1))
	e, _ := outcome(t, l, nil)
	marked(t, e, 1, "works")
}

func TestStartedByHand(t *testing.T) {
	p := launch(t, "server", nil, nil)
	if code := p.wait(patience); code != 1 || !strings.Contains(p.stderr.String(), "probe 1.2.3 (access, response, body_filter)") || p.stdout.String() != "" {
		t.Errorf("exit code %d, %q", code, p.stderr.String())
	}
	p = launch(t, "server", nil, nil, "--describe")
	var d struct {
		Plugins []described `json:"plugins"`
	}
	if code := p.wait(patience); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &d); err != nil || len(d.Plugins) != 1 || d.Plugins[0].Name != "probe" || !strings.Contains(string(d.Plugins[0].ConfigSchema), `"minLength"`) {
		t.Errorf("described %+v %v", d, err)
	}
	for _, bad := range [][]string{
		{"--nope"}, {"extra"}, {"--listen", "here"}, {"--listen", "tcp://nowhere"}, {"--listen", "tcp://0.0.0.0:0"}, {"--listen", "tcp://:0"},
		{"--listen", "unix:///tmp/" + strings.Repeat("x", 120)}, {"--listen", "tcp://127.0.0.1:0", "--tls-cert", "x"},
		{"--listen", "tcp://127.0.0.1:0", "--listen-data", "tcp://0.0.0.0:0"},
	} {
		p := launch(t, "server", nil, nil, bad...)
		if code := p.wait(patience); code == 0 || p.stderr.String() == "" {
			t.Errorf("%q: exit code %d, %q", bad, code, p.stderr.String())
		}
	}
}

// probeGRPC is the plugin as go-plugin sees it.
type probeGRPC struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (probeGRPC) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }

func (probeGRPC) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

func TestManagedByGoPlugin(t *testing.T) {
	dir := shortDir(t)
	var stderr output
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(managedEnv(dir), roleKey+"=server")...)
	c := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: cookieKey, MagicCookieValue: cookieValue},
		Plugins:          goplugin.PluginSet{"outrigger": probeGRPC{}},
		Cmd:              cmd,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		Stderr:           &stderr,
		StartTimeout:     patience,
	})
	t.Cleanup(c.Kill)
	protocol, err := c.Client()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if err := protocol.Ping(); err != nil {
		t.Fatal(err)
	}
	raw, err := protocol.Dispense("outrigger")
	if err != nil {
		t.Fatal(err)
	}
	conn := raw.(*grpc.ClientConn)
	h, err := healthv1.NewHealthClient(conn).Check(context.Background(), &healthv1.HealthCheckRequest{})
	if err != nil || h.Status != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health of the empty name: %v %v", h, err)
	}
	client := pluginv1.NewPluginServerClient(conn)
	d, err := client.Describe(context.Background(), &pluginv1.DescribeRequest{ProtocolVersion: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := d.Plugins[0]
	if d.SdkLanguage != "go" || d.Lanes != 1 || !d.Overlapping || d.Pid == 0 || m.Name != "probe" || m.Priority != 7 || !m.Authenticates ||
		strings.Join(m.Phases, " ") != "access response body_filter" || strings.Join(m.Needs, " ") != "response_body" {
		t.Errorf("described %v", d)
	}
	works(t, client)
	f := &fixture{t: t, client: client, carrier: "grpc"}
	f.probe(2, "print", "m")
	l := f.lane()
	l.call(1, newCall(2))
	outcome(t, l, nil)
	eventually(t, "what the plugin printed on standard error", patience, func() bool { return strings.Contains(stderr.String(), "printed by a plugin") })
	if names := sockets(t, dir); len(names) != 2 {
		t.Errorf("run directory %q", names)
	}
	for _, name := range sockets(t, dir) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	c.Kill()
	if !c.Exited() {
		t.Error("the server has not ended")
	}
	if names := sockets(t, dir); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}

func TestConfigureErrors(t *testing.T) {
	f := start(t, "grpc")
	configure := func(plugin, config string) (*pluginv1.ConfigureResponse, error) {
		return f.client.Configure(context.Background(), &pluginv1.ConfigureRequest{InstanceId: 1, Plugin: plugin, Config: []byte(config)})
	}
	for config, want := range map[string][2]string{
		`{"mark":""}`:                     {"mark", "at least 1"},
		`{"mrak":"a"}`:                    {"mrak", "did you mean"},
		`{"do":"refuse"}`:                 {"", "refused by Configure"},
		`{"do":"refuse field"}`:           {"limits.0", "found 9"},
		`{"do":"panic in Configure"}`:     {"", "panicked: in Configure"},
		`{"do":"refuse without a fault"}`: {"", "configuration"},
		`{"do":"fragile"}`:                {"", "Configure"},
		`[`:                               {"", "JSON"},
	} {
		out, err := configure("probe", config)
		if err != nil || len(out.Errors) != 1 || out.Errors[0].Path != want[0] || !strings.Contains(out.Errors[0].Message, want[1]) {
			t.Errorf("%s: %v %v", config, out, err)
		}
	}
	if out, err := configure("other", `{}`); err == nil {
		t.Errorf("an unknown plugin was configured: %v", out)
	}
	if f.server.instances.acquire(1) != nil {
		t.Error("a refused configuration has an instance")
	}
}

func TestLesson13HostGone(t *testing.T) { // lesson 13
	dir := shortDir(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, "server", append(managedEnv(dir), lifelineKey+"=3"), []*os.File{r})
	_ = r.Close()
	_, client := dialControl(t, handshakeOf(t, &p.stdout))
	works(t, client)
	f := &fixture{t: t, client: client, carrier: "msgpack"}
	f.configure(2, `{"do":"sleep","ms":60000}`)
	l := f.lane()
	l.call(1, newCall(2)) // a handler that runs keeps nothing alive
	_ = w.Close()
	p.wait(patience)
	if names := sockets(t, dir); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}

func TestLesson13ParentKilled(t *testing.T) { // lesson 13
	dir := shortDir(t)
	p := launch(t, "parent", managedEnv(dir), nil)
	pid := pidOf(t, &p.stdout)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	_, client := dialControl(t, handshakeOf(t, &p.stdout))
	works(t, client)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the server", patience, func() bool { return !alive(pid) && len(sockets(t, dir)) == 0 })
}

func pidOf(t *testing.T, stdout *output) int {
	t.Helper()
	pid := 0
	eventually(t, "the pid", patience, func() bool {
		s := bufio.NewScanner(strings.NewReader(stdout.String()))
		for s.Scan() {
			if rest, ok := strings.CutPrefix(s.Text(), "pid "); ok {
				pid, _ = strconv.Atoi(rest)
			}
		}
		return pid != 0
	})
	return pid
}

func TestLesson14OrphanWorksOn(t *testing.T) { // lesson 14: who the parent is does not matter, the lifeline does
	dir := shortDir(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	p := launch(t, "parent", append(managedEnv(dir), "OUTRIGGER_TEST_LEAVE=1"), []*os.File{r})
	_ = r.Close()
	pid := pidOf(t, &p.stdout)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	control := handshakeOf(t, &p.stdout)
	eventually(t, "the parent's end", patience, func() bool { return !alive(p.cmd.Process.Pid) })
	_, client := dialControl(t, control)
	works(t, client)
	_ = w.Close()
	eventually(t, "the end of the server", patience, func() bool { return !alive(pid) && len(sockets(t, dir)) == 0 })
}

func TestBadManagedEnvironment(t *testing.T) {
	dir := shortDir(t)
	for _, env := range []string{versionsKey + "=2,3", lifelineKey + "=x", lifelineKey + "=1", lifelineKey + "=99", runDirKey + "=/nowhere"} {
		p := launch(t, "server", append(managedEnv(dir), env), nil)
		if code := p.wait(patience); code != 1 || p.stderr.String() == "" || p.stdout.String() != "" {
			t.Errorf("%s: exit code %d, %q", env, code, p.stderr.String())
		}
	}
}

func TestTerminated(t *testing.T) {
	dir := shortDir(t)
	p := launch(t, "server", managedEnv(dir), nil)
	handshakeOf(t, &p.stdout)
	_ = p.cmd.Process.Signal(os.Interrupt) // Ctrl-C goes to the whole foreground group; the host decides
	_, client := dialControl(t, handshakeOf(t, &p.stdout))
	works(t, client)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.wait(patience); code != 0 || len(sockets(t, dir)) != 0 {
		t.Errorf("exit code %d, left %q", code, sockets(t, dir))
	}
}

func TestKilledInACall(t *testing.T) {
	dir := shortDir(t)
	p := launch(t, "server", managedEnv(dir), nil)
	_, client := dialControl(t, handshakeOf(t, &p.stdout))
	f := &fixture{t: t, client: client, carrier: "msgpack"}
	f.probe(1, "kill", "m")
	l := f.lane()
	l.call(1, newCall(1))
	if e := l.next(); e.err == nil {
		t.Errorf("found %+v", e)
	}
	p.wait(patience)
}

func TestAttached(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close() // leaves a socket file that nobody listens on
	p := launch(t, "server", nil, nil, "--listen", "unix://"+path)
	eventually(t, "the sockets", patience, func() bool { return strings.Contains(p.stderr.String(), "listens") })
	_, client := dialControl(t, path)
	works(t, client)
	for _, name := range sockets(t, dir) {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	second := launch(t, "server", nil, nil, "--listen", "unix://"+path)
	if code := second.wait(patience); code != 1 || !strings.Contains(second.stderr.String(), "something else is there") {
		t.Errorf("exit code %d, %q", code, second.stderr.String())
	}
	works(t, client)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.wait(patience); code != 0 || len(sockets(t, dir)) != 0 {
		t.Errorf("exit code %d, left %q", code, sockets(t, dir))
	}
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestMutualTLS(t *testing.T) {
	dir := shortDir(t)
	ca := authority(t, dir)
	address := freePort(t)
	p := launch(t, "server", nil, nil, "--listen", "tcp://"+address, "--tls-cert", filepath.Join(dir, "server.pem"),
		"--tls-key", filepath.Join(dir, "server.key"), "--tls-client-ca", filepath.Join(dir, "ca.pem"))
	eventually(t, "the listener", patience, func() bool { return strings.Contains(p.stderr.String(), "listens") })
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	good := &tls.Config{RootCAs: ca, Certificates: []tls.Certificate{pair}, ServerName: "127.0.0.1"}
	describe := func(c *tls.Config) (*pluginv1.DescribeResponse, error) {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(c)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return pluginv1.NewPluginServerClient(conn).Describe(until(patience), &pluginv1.DescribeRequest{})
	}
	d, err := describe(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := describe(&tls.Config{RootCAs: ca, ServerName: "127.0.0.1"}); err == nil {
		t.Error("a host without certificate is let in")
	}
	plane := dataPlane(t, d)
	greet := func(c *tls.Config) error {
		conn, err := tls.Dial("tcp", plane.Address, c)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(patience))
		b := wire.AppendGreeting(nil, plane.Token)
		b = append(b, wire.AppendFrame(nil, 0, wire.TypeHello, wire.AppendHostHello(nil, &plainHello))...)
		if _, err := conn.Write(b); err != nil {
			return err
		}
		f, _, err := wire.NewReader(conn).Next()
		if err == nil && f.Type != wire.TypeHello {
			err = fmt.Errorf("found a %s frame", f.Type)
		}
		return err
	}
	if err := greet(good); err != nil {
		t.Error(err)
	}
	if err := greet(&tls.Config{RootCAs: ca, ServerName: "127.0.0.1"}); err == nil {
		t.Error("the data plane lets a host without certificate in")
	}
	conn, err := net.Dial("tcp", plane.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write(wire.AppendGreeting(nil, plane.Token))
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) || bytes.Contains(b, []byte("ORLN")) {
		t.Errorf("the data plane speaks without TLS: %q %v", b, err)
	}
}

// The host speaks TLS to data planes on TCP alone.
func TestNoTLSOnAUnixDataPlane(t *testing.T) {
	dir := shortDir(t)
	authority(t, dir)
	socket := filepath.Join(dir, "d.sock")
	cert, err := mutualTLS(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"), filepath.Join(dir, "ca.pem"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(probePlugin)
	if err != nil {
		t.Fatal(err)
	}
	l := Listeners{TLS: cert}
	if l.Control, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if l.Data, err = listenUnix(socket); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	b := wire.AppendGreeting(nil, s.token)
	b = append(b, wire.AppendFrame(nil, 0, wire.TypeHello, wire.AppendHostHello(nil, &plainHello))...)
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	if f, _, err := wire.NewReader(conn).Next(); err != nil || f.Type != wire.TypeHello {
		t.Errorf("found %v, %v", f, err)
	}
}

// authority writes a CA with a certificate for the server and one for the host.
func authority(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	template := func(n int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
	}
	root := template(1)
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	rootKey := key()
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	write("ca.pem", "CERTIFICATE", rootDER)
	for i, name := range []string{"server", "client"} {
		k := key()
		der, err := x509.CreateCertificate(rand.Reader, template(int64(i+2)), root, &k.PublicKey, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".pem", "CERTIFICATE", der)
		write(name+".key", "PRIVATE KEY", keyDER)
	}
	cert, err := x509.ParseCertificate(rootDER)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}
