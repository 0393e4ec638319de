package handover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSameAddress(t *testing.T) {
	tcp := func(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	for _, c := range []struct {
		addr    net.Addr
		address string
		want    bool
	}{
		{tcp("127.0.0.1", 80), "127.0.0.1:80", true},
		{tcp("127.0.0.1", 80), "127.0.0.1:81", false},
		{tcp("127.0.0.1", 80), "127.0.0.2:80", false},
		{tcp("127.0.0.1", 80), "0.0.0.0:80", false},
		{tcp("::", 80), "0.0.0.0:80", true},
		{tcp("0.0.0.0", 80), "[::]:80", true},
		{tcp("::1", 80), "[::1]:80", true},
		{tcp("::", 80), "127.0.0.1:80", false},
		{tcp("127.0.0.1", 80), "nonsense", false},
		{tcp("127.0.0.1", 80), "unix:///s", false},
		{&net.UnixAddr{Name: "/s", Net: "unix"}, "unix:///s", true},
		{&net.UnixAddr{Name: "/s", Net: "unix"}, "unix:///t", false},
		{&net.UnixAddr{Name: "/s", Net: "unix"}, "127.0.0.1:80", false},
	} {
		if same(c.addr, c.address) != c.want {
			t.Errorf("%v and %s: expected %t", c.addr, c.address, c.want)
		}
	}
}

// inheritedSocket makes a socket that a process could have been started with.
func inheritedSocket(t *testing.T, address string, ln net.Listener) *given {
	t.Helper()
	o := &socket{name{"admin_listen", address, false}, ln}
	f, err := duplicate(o)
	if err != nil {
		t.Fatal(err)
	}
	return &given{o.name, f, ln.Addr()}
}

// heir is a process that is to replace an older one, which the test plays.
type heir struct {
	*Sockets
	log        strings.Builder
	hear, tell *os.File // the ends of the older process
}

func newHeir(t *testing.T, sockets ...*given) *heir {
	t.Helper()
	h := &heir{}
	hear, answer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	verdict, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{hear, answer, verdict, tell} {
		t.Cleanup(func() { f.Close() })
	}
	h.hear, h.tell = hear, tell
	h.Sockets = &Sockets{logger: slog.New(slog.NewTextHandler(&h.log, nil)), older: true, answer: answer, verdict: verdict, given: sockets}
	return h
}

// unixSocket is one of the older process. Its file is not removed with it.
func unixSocket(t *testing.T, path string) (address string, ln net.Listener) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	t.Cleanup(func() { ln.Close() })
	return "unix://" + path, ln
}

// A new process takes the sockets of its settings, closes the others, and owns their files from the moment it serves.
func TestSocketsOfTheOlderProcess(t *testing.T) {
	dir := t.TempDir()
	wanted, old := unixSocket(t, filepath.Join(dir, "wanted"))
	unwanted, other := unixSocket(t, filepath.Join(dir, "unwanted"))
	s := newHeir(t, inheritedSocket(t, wanted, old), inheritedSocket(t, unwanted, other))
	s.needed = []string{"py"}
	if !s.Upgrades() || !s.Needs("py") || s.Needs("js") {
		t.Error("expected an upgrade that needs py alone")
	}
	never := func() (net.Listener, error) { t.Error("a socket that was given is opened"); return nil, os.ErrInvalid }
	taken, err := s.Listen("admin_listen", wanted, never)
	if err != nil {
		t.Fatal(err)
	}
	opened := false
	fresh, err := s.Listen("proxy_listen", "127.0.0.1:0", func() (net.Listener, error) { opened = true; return net.Listen("tcp", "127.0.0.1:0") })
	if err != nil || !opened {
		t.Fatalf("opened %t: %v", opened, err)
	}
	defer fresh.Close()
	if _, err := s.tell.WriteString(wordGo); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready("1.2.3"); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 64)
	if n, err := s.hear.Read(text); err != nil || string(text[:n]) != "1.2.3\n" {
		t.Errorf("the older process hears %q, %v", text[:n], err)
	}
	if _, err := os.Stat(filepath.Join(dir, "unwanted")); err == nil {
		t.Error("the file of a socket that nobody wants is left")
	}
	old.Close()
	c, err := net.Dial("unix", filepath.Join(dir, "wanted"))
	if err != nil {
		t.Fatal("the socket does not listen when the older process has closed it: ", err)
	}
	c.Close()
	taken.Close()
	if _, err := os.Stat(filepath.Join(dir, "wanted")); err == nil {
		t.Error("the file of the socket outlives its listener")
	}
}

// A process that does not come to serve leaves the files of sockets to the older one.
func TestSocketsBeforeReady(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := &Sockets{logger: slog.New(slog.DiscardHandler), given: []*given{inheritedSocket(t, "unix://"+path, ln)}}
	taken, err := s.Listen("admin_listen", "unix://"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	taken.Close()
	if _, err := os.Stat(path); err != nil {
		t.Error("the file of the older process's socket is gone")
	}
}

// Only the older process says which of the two goes on, and what it does not give stays its own.
func TestTheOlderProcessDecides(t *testing.T) {
	for _, c := range []struct {
		what  string
		older func(h *heir) error
		err   string
		log   string
	}{
		{"goes on", func(h *heir) error { _, err := h.tell.WriteString(wordNo); return err }, "it goes on itself", ""},
		{"has no time for an answer", func(h *heir) error { h.hear.Close(); _, err := h.tell.WriteString(wordNo); return err }, "it goes on itself", ""},
		{"was killed", func(h *heir) error { return errors.Join(h.hear.Close(), h.tell.Close()) }, "", "has ended before it could hand over"},
		{"was killed while this one spoke", func(h *heir) error { return h.tell.Close() }, "", "has ended before it could hand over"},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := t.TempDir()
			wanted, ln := unixSocket(t, filepath.Join(dir, "wanted"))
			unwanted, other := unixSocket(t, filepath.Join(dir, "unwanted"))
			h := newHeir(t, inheritedSocket(t, wanted, ln), inheritedSocket(t, unwanted, other))
			taken, err := h.Listen("admin_listen", wanted, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.older(h); err != nil {
				t.Fatal(err)
			}
			err = h.Ready("2")
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || !strings.Contains(h.log.String(), c.log) {
				t.Errorf("found %v, expected %q; the log: %s", err, c.err, h.log.String())
			}
			taken.Close()
			for _, name := range []string{"wanted", "unwanted"} {
				if _, serr := os.Stat(filepath.Join(dir, name)); (serr == nil) != (err != nil) {
					t.Errorf("%s: %v", name, serr)
				}
			}
		})
	}
}

// asking is a log whose reader asks for what it is written about, such as one that hangs until the gateway is told to end.
type asking struct {
	slog.Handler
	s *Sockets
}

func (a asking) Handle(ctx context.Context, r slog.Record) error {
	<-a.s.Settled()
	return a.Handler.Handle(ctx, r)
}

// A log that nobody reads, or an older process that does not answer, keeps nobody else from asking.
func TestNobodyWaitsForTheLog(t *testing.T) {
	dir := t.TempDir()
	gone, ln := unixSocket(t, filepath.Join(dir, "gone"))
	unwanted, other := unixSocket(t, filepath.Join(dir, "unwanted"))
	h := newHeir(t, inheritedSocket(t, gone, ln), inheritedSocket(t, unwanted, other))
	h.logger = slog.New(asking{h.logger.Handler(), h.Sockets})
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	ready := make(chan error, 1)
	go func() {
		fresh, err := h.Listen("admin_listen", gone, func() (net.Listener, error) { return net.Listen("unix", filepath.Join(dir, "gone")) })
		if err == nil {
			defer fresh.Close()
			err = h.Ready("2")
		}
		ready <- err
	}()
	if err := h.hear.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := h.hear.Read(make([]byte, 64)); err != nil || n == 0 {
		t.Fatalf("the older process hears nothing: %v", err)
	}
	refused := make(chan error, 1)
	go func() {
		_, err := h.Upgrade(t.Context(), nil, 0)
		refused <- err
	}()
	select {
	case err := <-refused:
		if err != Refusal("this process is not ready yet") {
			t.Errorf("an upgrade meanwhile: found %v", err)
		}
	case <-time.After(patience):
		t.Error("an upgrade meanwhile waits for the older process")
	}
	if _, err := h.tell.WriteString(wordGo); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ready:
		if err != nil || strings.Count(h.log.String(), "\n") != 2 {
			t.Errorf("found %v and the log %s", err, h.log.String())
		}
	case <-time.After(patience):
		t.Error("it is never ready")
	}
}

// serving is a new process that says that it serves, and writes down what it hears to that. It ends after that with a code.
func serving(t *testing.T, before, after string) (cmd *exec.Cmd, heard string) {
	t.Helper()
	heard = filepath.Join(t.TempDir(), "heard")
	return exec.Command("/bin/sh", "-c", before+" echo 2.0 >&3; exec 3>&-; read word <&4; echo $word > "+heard+"; "+after), heard
}

// A new process that serves in the very moment in which the time is over is told so. Otherwise the place is its own, and the files of unix sockets with it.
func TestOneOfTheTwoGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &Sockets{logger: slog.New(slog.DiscardHandler), open: []*socket{{name{"admin_listen", "unix://" + path, false}, ln}}}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("too late"))
	cmd, heard := serving(t, "", "exit 0")
	if n, err := s.handOver(ctx, cmd, nil, patience); err == nil || n != nil || !strings.Contains(err.Error(), "too late") || s.Successor() != nil {
		t.Fatalf("found %v and %v, expected that it is too late", n, err)
	}
	if word, err := os.ReadFile(heard); err == nil && string(word) != wordNo { // it may have been ended before that
		t.Errorf("the new process hears %q", word)
	}
	cmd, heard = serving(t, "", "exit 0")
	n, err := s.handOver(t.Context(), cmd, nil, patience)
	if err != nil || n.PID != cmd.Process.Pid || n.Version != "2.0" || s.Successor() != n {
		t.Fatalf("found %v and %v, expected version 2.0", n, err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		word, _ := os.ReadFile(heard)
		if string(word) == wordGo {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the new process hears %q", word)
		}
	}
	ln.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file of the socket is gone with the older process: %v", err)
	}
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// deaf is a new process that takes no SIGTERM, and a file that is there from then on.
func deaf(t *testing.T) (cmd *exec.Cmd, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "deaf")
	return exec.Command("/bin/sh", "-c", "trap '' TERM; echo > "+file+"; while :; do sleep 1; done"), file
}

// untilDeaf waits for a deaf process.
func untilDeaf(t *testing.T, file string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the new process does not start")
		}
	}
}

// A new process that is not to take over has the time that it is given to end, and is killed then.
func TestTimeToEnd(t *testing.T) {
	var log strings.Builder
	s := &Sockets{logger: slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithCancelCause(t.Context())
	cmd, file := deaf(t)
	failed := make(chan error, 1)
	go func() {
		_, err := s.handOver(ctx, cmd, nil, time.Millisecond)
		failed <- err
	}()
	untilDeaf(t, file)
	cancel(errors.New("too late"))
	select {
	case err := <-failed:
		if err == nil || cmd.ProcessState.String() != "signal: killed" {
			t.Errorf("found %v and %v, expected that it was killed", err, cmd.ProcessState)
		}
		if !strings.Contains(log.String(), "is given up") || !strings.Contains(log.String(), "too late") { // that may be minutes before its end
			t.Errorf("the log: %s", log.String())
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
}

// A gateway that is to end at once does not wait for a new process that takes no signal.
func TestHurry(t *testing.T) {
	s := &Sockets{logger: slog.New(slog.DiscardHandler)}
	over, err := s.begin()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd, file := deaf(t)
	failed := make(chan error, 1)
	go func() {
		defer over()
		_, err := s.handOver(ctx, cmd, nil, time.Hour)
		failed <- err
	}()
	untilDeaf(t, file)
	settled := s.Settled()
	cancel()
	select {
	case <-settled:
		t.Error("the upgrade is over while the new process runs")
	default:
	}
	s.Hurry()
	s.Hurry()
	select {
	case <-settled:
	case <-time.After(patience):
		t.Fatal("the new process goes on")
	}
	if err := <-failed; err == nil {
		t.Error("the upgrade went well")
	}
	if cmd.ProcessState.String() != "signal: killed" {
		t.Errorf("found %s, expected that it was killed", cmd.ProcessState)
	}
	<-s.Settled()
}

// An address may be written in another way, and the settings may stand in another order. A socket whose file is gone is of no use.
func TestSocketsAreFound(t *testing.T) {
	tcp := func(address string) net.Listener {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		return ln
	}
	everywhere, here, there := tcp("0.0.0.0:0"), tcp("127.0.0.1:0"), tcp("127.0.0.1:0")
	port := func(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }
	dir := t.TempDir()
	kept, keptListener := unixSocket(t, filepath.Join(dir, "kept"))
	gone, goneListener := unixSocket(t, filepath.Join(dir, "gone"))
	inherited := func(setting, address string, ln net.Listener) *given {
		g := inheritedSocket(t, address, ln)
		g.Setting = setting
		return g
	}
	s := newHeir(t,
		inherited("proxy_listen", fmt.Sprintf("0.0.0.0:%d", port(everywhere)), everywhere),
		inherited("proxy_listen", "127.0.0.1:0", here), inherited("proxy_listen", "127.0.0.1:0", there),
		inherited("admin_listen", kept, keptListener), inherited("status_listen", gone, goneListener),
	)
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	never := func() (net.Listener, error) { return nil, errors.New("it is opened") }
	for _, c := range []struct {
		setting, address string
		want             net.Listener
	}{
		{"proxy_listen", "127.0.0.1:0", here},
		{"proxy_listen", fmt.Sprintf("[::]:%d", port(everywhere)), everywhere},
		{"proxy_listen", "127.0.0.1:0", there},
		{"admin_listen", "unix://" + dir + "/../" + filepath.Base(dir) + "/kept", keptListener},
	} {
		ln, err := s.Listen(c.setting, c.address, never)
		if err != nil {
			t.Errorf("%s %s: %v", c.setting, c.address, err)
			continue
		}
		ln.Close()
		if ln.Addr().String() != c.want.Addr().String() {
			t.Errorf("%s %s: found %v, expected %v", c.setting, c.address, ln.Addr(), c.want.Addr())
		}
	}
	fresh, err := s.Listen("status_listen", gone, func() (net.Listener, error) { return net.Listen("unix", filepath.Join(dir, "gone")) })
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if _, err := s.tell.WriteString(wordGo); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready("2"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "gone")); err != nil {
		t.Errorf("the socket that was opened anew: %v", err)
	}
	// What moves to another setting cannot be had twice; the error says what to do.
	_, err = newHeir(t, inherited("proxy_listen", here.Addr().String(), here)).Listen("status_listen", here.Addr().String(), func() (net.Listener, error) { return net.Listen("tcp", here.Addr().String()) })
	if err == nil || !strings.Contains(err.Error(), "needs a restart") {
		t.Errorf("found %v", err)
	}
}

// systemd may open a socket in a directory that the service does not see. Another one in its place would never get a client.
func TestSocketsOfSystemdAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "unseen")
	address, ln := unixSocket(t, path)
	g := inheritedSocket(t, address, ln)
	g.name = name{Systemd: true}
	s := newHeir(t, g)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	found, err := s.Listen("admin_listen", address, func() (net.Listener, error) { return nil, errors.New("it is opened anew") })
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	if found.Addr().String() != path {
		t.Errorf("found %v, expected %s", found.Addr(), path)
	}
}

func TestWrongNotes(t *testing.T) {
	t.Setenv(variable, "nonsense")
	_, err := Take(slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), `OUTRIGGER_HANDOVER: found "nonsense"`) {
		t.Errorf("found %v", err)
	}
	if _, set := os.LookupEnv(variable); set {
		t.Error("the variable would reach the processes that this one starts")
	}
}

func TestUpgradesThatCannotBe(t *testing.T) {
	for what, s := range map[string]*Sockets{
		"process 7 has taken over already": {successor: &Successor{PID: 7}},
		"an upgrade is under way":          {underway: make(chan struct{})},
		"this process is not ready yet":    {answer: os.Stdin},
	} {
		if _, err := s.Upgrade(t.Context(), nil, 0); err != Refusal(what) {
			t.Errorf("found %v, expected %s", err, what)
		}
	}
}
