package pluginserver

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// A host that starts and stops servers, and loses some, keeps no goroutine and no descriptor of them.
func TestNothingLeaks(t *testing.T) {
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	round := func() {
		w := newWorld(t)
		path := filepath.Join(shortDir(t), "a.sock")
		server := spawn(t, "listen="+path, "plugin=attached")
		grpcOne := fakeServer("grpc", "plugin=grpc")
		grpcOne.Carrier = CarrierGRPC
		w.mustStart(fakeServer("msgpack", "lanes=2"), grpcOne)
		w.mustConfigure("msgpack", 1)
		for _, name := range []string{"msgpack", "grpc"} {
			pid := w.pids(name)[0]
			kill(t, pid, syscall.SIGKILL)
			eventually(t, "a new process", func() bool { p := w.pids(name); return len(p) == 1 && p[0] != pid })
		}
		w.shutdown()

		a := newWorld(t)
		cfg := attachedServer("a", path)
		a.mustStart(cfg)
		_, _, _ = a.call("a", 1, "/closelane")
		a.shutdown()
		_ = server.Process.Kill()
		_ = server.Wait()
		missing := newWorld(t)
		cfg.StartTimeout = 1
		_ = missing.start(cfg)
		missing.shutdown()
	}
	round() // what is made once for the life of the process is made here
	goroutines, files := runtime.NumGoroutine(), descriptors()
	for range 2 {
		round()
	}
	defer func() {
		if t.Failed() {
			b := make([]byte, 1<<20)
			t.Logf("%s", b[:runtime.Stack(b, true)])
		}
	}()
	eventually(t, "goroutines and descriptors are back to what they were", func() bool {
		return runtime.NumGoroutine() <= goroutines && descriptors() <= files
	})
}
