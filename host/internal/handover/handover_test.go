package handover

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	return &given{name: o.name, file: f}
}

// A new process takes the sockets of its settings, closes the others, and owns their files from the moment it serves.
func TestSocketsOfTheOlderProcess(t *testing.T) {
	dir := t.TempDir()
	listen := func(name string) (string, net.Listener) {
		ln, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false) // as the older process does
		t.Cleanup(func() { ln.Close() })
		return "unix://" + filepath.Join(dir, name), ln
	}
	wanted, old := listen("wanted")
	unwanted, other := listen("unwanted")
	hear, say, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hear.Close()
	s := &Sockets{logger: slog.New(slog.DiscardHandler), older: true, needed: []string{"py"}, answer: say,
		given: []*given{inheritedSocket(t, wanted, old), inheritedSocket(t, unwanted, other)}}
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
	if err := s.Ready("1.2.3"); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 64)
	if n, err := hear.Read(text); err != nil || string(text[:n]) != "1.2.3\n" {
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
		"process 7 has taken over already": {successor: 7},
		"an upgrade is under way":          {upgrading: true},
		"this process is not ready yet":    {answer: os.Stdin},
	} {
		if _, err := s.Upgrade(t.Context(), nil); err == nil || err.Error() != what {
			t.Errorf("found %v, expected %s", err, what)
		}
	}
}
