package examples

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Whoever collects the logs may end: lines that nobody reads do not end the gateway.
func TestStandardStreamsWithoutReaders(t *testing.T) {
	t.Parallel()
	g, args := launch{
		settings: settings{"proxy_access_log": "stdout", "log_level": "debug"}, entities: routes(echoUpstream(t).URL, route("/x")),
	}.files(t)
	cmd := exec.Command(built.host, append([]string{"run"}, args...)...)
	cmd.Env = environment(g.dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	ready, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		text, _ := io.ReadAll(stderr)
		t.Fatalf("%v: %s", err, text)
	}
	_, g.address, _ = strings.Cut(strings.TrimSpace(ready), " is ready on ")
	stdout.Close()
	stderr.Close()
	g.client = newClient()
	defer g.client.CloseIdleConnections()
	for range 3 {
		g.get(t, "/x").want(t, 200)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil { // both logs have something to say
			t.Fatal(err)
		}
	}
	g.client.CloseIdleConnections()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the gateway ended with %v, expected exit code 0", err)
	}
}

// only waits until one process of the program is left, and checks that it is who answers at the Admin socket, with one plugin server.
func only(t *testing.T, program, admin string) (pid int) {
	t.Helper()
	client := overUnix(admin)
	eventually(t, startPatience, "one gateway, at the Admin socket", func() (bool, string) {
		pids := gatewaysOf(t, program)
		if len(pids) != 1 {
			return false, fmt.Sprintf("processes %v", pids)
		}
		resp, err := client.Get("http://gateway/status")
		if err != nil {
			return false, err.Error()
		}
		defer resp.Body.Close()
		var found struct{ Process struct{ PID int } }
		if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
			return false, err.Error()
		}
		pid = pids[0]
		servers := serversBelow(t, pid)
		return found.Process.PID == pid && len(servers) == 1, fmt.Sprintf("process %d answers instead of %d, which has the plugin servers %v", found.Process.PID, pid, servers)
	})
	return pid
}

// signalled is a gateway that gets signals.
func signalled(t *testing.T) (g *gateway, program, admin, log string) {
	dir := t.TempDir()
	admin, log = filepath.Join(dir, "a.sock"), filepath.Join(dir, "access.log")
	g, program = upgradable(t, launch{
		settings: settings{
			"plugin_servers": []server{exampleServer("go", "msgpack")}, "admin_listen": "unix://" + admin, "proxy_access_log": log, "log_level": "notice",
		},
		entities: routes(echoUpstream(t).URL, route("/x")),
	})
	return g, program, admin, log
}

// Signals come in any order and all at once: what is left is one gateway, whole.
func TestSignalsInAnyOrder(t *testing.T) {
	t.Parallel()
	g, program, admin, log := signalled(t)
	pid := only(t, program, admin)
	for _, order := range [][]syscall.Signal{
		{syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGUSR1}, {syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}, {syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP},
	} {
		mark := g.log.mark()
		for _, s := range order {
			if err := syscall.Kill(pid, s); err != nil {
				t.Fatal(err)
			}
		}
		heir := g.upgraded(t, mark)
		gone(t, pid)
		if pid = only(t, program, admin); pid != heir {
			t.Fatalf("%v: process %d is left, expected %d", order, pid, heir)
		}
		g.get(t, "/x").want(t, 200)
		g.client.CloseIdleConnections()
	}
	// SIGUSR1 alone opens the access log anew, and reads nothing else.
	write(t, g.entities, "nonsense")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	mark := g.log.mark()
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the access log to be opened anew", func() (bool, string) { _, err := os.Stat(log); return err == nil, "no file" })
	if lines := g.log.since(mark); len(lines) > 0 {
		t.Errorf("found %v, expected no line", lines)
	}
	endHeir(t, pid)
	if _, err := os.Stat(admin); err == nil {
		t.Error("the Admin socket outlives the gateway")
	}
}

// A gateway that is told to end while a new one comes up ends with it, or leaves it in its place: nothing between. The moments are those of the machine.
func TestEndDuringAnUpgrade(t *testing.T) {
	t.Parallel()
	g, program, admin, _ := signalled(t)
	ended, replaced := 0, 0
	for n := range 3 {
		pid := only(t, program, admin)
		mark := g.log.mark()
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		// The first at once; the others when the new process is about to serve, which is when both would think that the socket is theirs.
		if n > 0 {
			g.log.waitWithin(t, startPatience, mark, "the new process to open its listeners", func(l line) bool { return l.text("msg") == "the Admin listener is open" })
		}
		g.stops = g.stops || pid == g.pid
		_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended
		gone(t, pid)
		if left := gatewaysOf(t, program); len(left) > 0 {
			replaced++
			if heir := only(t, program, admin); heir == pid {
				t.Fatalf("process %d goes on after SIGTERM", pid)
			}
			continue
		}
		ended++
		if _, err := os.Stat(admin); err == nil {
			t.Error("the Admin socket outlives the gateway")
		}
		g, program, admin, _ = signalled(t)
	}
	t.Logf("%d ended, %d replaced", ended, replaced)
}
