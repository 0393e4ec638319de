package pluginserver

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// A goodbye that is heard when the connection has ended already is nothing to the next one.
func TestLateGoodbye(t *testing.T) {
	path := filepath.Join(shortDir(t), "1.sock")
	process := spawn(t, "listen="+path)
	w := newWorld(t)
	w.mustStart(addresses(path))
	w.mustConfigure("a", 1)
	p := w.Server("a").peers[0]
	w.Server("a").mu.Lock()
	ended := p.life
	w.Server("a").mu.Unlock()
	kill(t, process.Process.Pid, syscall.SIGKILL)
	eventually(t, "down", func() bool { return w.process(0).State == StateDown && w.process(0).PID == 0 })
	spawn(t, "listen="+path)
	eventually(t, "ready", func() bool { return w.ready("a") })
	ended.depart()
	w.answers("a", 1)
}

// What is released while a server is away is not there when the same process is back.
func TestReleasedWhileAway(t *testing.T) {
	dir := shortDir(t)
	path, sick := filepath.Join(dir, "1.sock"), filepath.Join(dir, "sick")
	spawn(t, "listen="+path, "sick="+sick)
	w := newWorld(t)
	w.mustStart(addresses(path))
	w.mustConfigure("a", 1, 2)
	write(t, sick)
	eventually(t, "away", func() bool { return w.process(0).State == StateDown })
	w.Server("a").Release(2)
	if err := os.Remove(sick); err != nil {
		t.Fatal(err)
	}
	eventually(t, "back", func() bool { return w.ready("a") })
	w.answers("a", 1)
	var unknown *wire.Error
	if _, config, err := w.call("a", 2, "/"); !errors.As(err, &unknown) || unknown.Code != wire.CodeUnknownInstance {
		t.Errorf("an instance that was released answers %q, %v", config, err)
	}
}

// relay passes connections on, to where it is told.
type relay struct {
	mu    sync.Mutex
	to    string
	conns []net.Conn
}

func (r *relay) serve(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		out, err := net.Dial("unix", r.to)
		if err != nil {
			in.Close()
		} else {
			r.conns = append(r.conns, in, out)
			go func() { _, _ = io.Copy(in, out); in.Close() }()
			go func() { _, _ = io.Copy(out, in); out.Close() }()
		}
		r.mu.Unlock()
	}
}

// turn leads to another address from now on, and cuts what leads to the one before.
func (r *relay) turn(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

// When the control connection is made anew and leads to another process, the lanes follow it: instances are configured where calls go.
func TestControlConnectionTurns(t *testing.T) {
	one, two, front := filepath.Join(shortDir(t), "1.sock"), filepath.Join(shortDir(t), "2.sock"), filepath.Join(shortDir(t), "front.sock")
	spawn(t, "listen="+one)
	second := spawn(t, "listen="+two)
	eventually(t, "both listen", func() bool { return exists(one) && exists(two) })
	l, err := net.Listen("unix", front)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{to: one}
	go r.serve(l)
	t.Cleanup(func() { l.Close(); r.turn("") })
	w := newWorld(t)
	w.opts.HealthInterval = 200 * time.Millisecond
	w.mustStart(addresses(front))
	w.mustConfigure("a", 1)
	r.turn(two)
	eventually(t, "calls go to the second process", func() bool {
		pid, config, err := w.call("a", 1, "/")
		return err == nil && pid == second.Process.Pid && config == configOf(1)
	})
}

// A server may be told to end as soon as it takes calls: the host listens for that before it opens a lane.
func TestListensBeforeLanes(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		dir := shortDir(t)
		path, deaf := filepath.Join(dir, "1.sock"), filepath.Join(dir, "deaf")
		spawn(t, "listen="+path, "deaf="+deaf)
		w := newWorld(t)
		cfg := addresses(path)
		cfg.Carrier = carrier
		w.mustStart(cfg)
		w.mustConfigure("a", 1)
		w.answers("a", 1)
		if exists(deaf) {
			t.Error("a lane was opened before the health was watched")
		}
	})
}
