package pluginserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostKey makes the test binary a host: its value is the directory for the run directory.
const hostKey = "FAKE_HOST"

// hostMain starts two servers, prints their pids and waits to be killed.
func hostMain() {
	meek := fakeServer("meek", "child", "plugin=meek")
	stubborn := fakeServer("stubborn", "child", "ignore_lifeline", "ignore_term", "plugin=stubborn")
	stubborn.Isolation.Cgroup = IsolationOff
	for _, s := range []Config{meek, stubborn} {
		s.Env[misdeedKey] = "daemon=" + daemonOf(os.Getenv(hostKey), s.Name)
	}
	ss, err := Start(context.Background(), []Config{meek, stubborn}, Options{RunDir: os.Getenv(hostKey)})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for _, s := range ss.Status() {
		fmt.Println("pid", s.Processes[0].PID)
	}
	fmt.Println("reaper", ss.reaper.PID())
	fmt.Println("dir", ss.RunDir())
	fmt.Println("ready")
	select {}
}

// daemonOf is the file with the pid of the daemon that a server has started.
func daemonOf(dir, server string) string { return filepath.Join(dir, "daemon-"+server) }

// Lesson 13: a host that is killed leaves no process, no socket and no directory: neither of its servers nor of daemons that they have
// started.
func TestLesson13KilledHostLeavesNothing(t *testing.T) {
	for _, stop := range []bool{false, true} {
		t.Run(fmt.Sprintf("servers stopped=%v", stop), func(t *testing.T) {
			host := exec.Command(os.Args[0])
			parent := shortDir(t)
			host.Env = append(os.Environ(), hostKey+"="+parent)
			host.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			host.Stderr = os.Stderr
			out, err := host.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := host.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = host.Process.Kill(); _ = host.Wait() }()
			var pids []int
			var reaperPID int
			var dir string
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "ready" {
				var n int
				switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
				case "pid":
					_, _ = fmt.Sscan(rest, &n)
					pids = append(pids, n)
				case "reaper":
					_, _ = fmt.Sscan(rest, &reaperPID)
				case "dir":
					dir = rest
				default:
					t.Fatal(lines.Text())
				}
			}
			if len(pids) != 2 || reaperPID == 0 || !exists(dir) {
				t.Fatalf("host did not start: pids %v, reaper %d, dir %q", pids, reaperPID, dir)
			}
			for _, pid := range pids {
				if stop {
					kill(t, pid, syscall.SIGSTOP)
				}
			}
			// As a Ctrl-C and a service manager do: the reaper outlives both.
			kill(t, reaperPID, syscall.SIGINT)
			kill(t, reaperPID, syscall.SIGTERM)
			daemons := []int{daemonIn(t, daemonOf(parent, "meek")), daemonIn(t, daemonOf(parent, "stubborn"))}
			for _, pid := range daemons {
				if ended(pid) {
					t.Fatalf("daemon %d does not run", pid)
				}
			}
			begin := time.Now()
			kill(t, -host.Process.Pid, syscall.SIGKILL)
			all := func() bool {
				for _, pid := range daemons {
					if !ended(pid) {
						return false
					}
				}
				for _, pid := range pids {
					if !groupGone(pid) {
						return false
					}
				}
				return !exists(dir)
			}
			eventually(t, "children and run directory are gone", all)
			// The promise is two seconds; how long it takes on a busy machine is told, not judged.
			t.Logf("it took %v", time.Since(begin))
			eventually(t, "the reaper is gone", func() bool { return ended(reaperPID) })
		})
	}
}

// groupGone says whether no member of a group runs. Orphans may stay as zombies where process 1 waits for nobody.
func groupGone(pgid int) bool {
	if syscall.Kill(-pgid, 0) != nil {
		return true
	}
	procs, _ := os.ReadDir("/proc")
	for _, p := range procs {
		b, err := os.ReadFile("/proc/" + p.Name() + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		var state string
		var parent, group int
		if _, err := fmt.Sscan(rest, &state, &parent, &group); err == nil && group == pgid && state != "Z" {
			return false
		}
	}
	return true
}

// ended is gone, or a zombie that process 1 has not waited for yet.
func ended(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}
