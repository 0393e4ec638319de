package reaper

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// writeTimeout bounds a write to a reaper that does not read, because somebody stopped it.
	writeTimeout = time.Second
	// respawnDelay keeps a reaper that cannot live from being started in a loop.
	respawnDelay = time.Second
	// readyTimeout is long: a machine may be busy, and a program that is not the reaper ends at once as a rule.
	readyTimeout = time.Minute
)

// Reaper is the host's end: it starts the reaper process, tells it what to clean, and starts it anew when somebody kills it.
// Its methods may be called at once from several goroutines.
type Reaper struct {
	command []string
	logger  *slog.Logger
	stop    chan struct{} // closed by Close
	done    chan struct{} // closed when the process has ended after Close

	mu      sync.Mutex
	pipe    *os.File // write end; nil while no reaper runs
	process *os.Process
	groups  map[int]bool
	dirs    map[string]bool
	cgroups map[string]bool
}

// Start starts the reaper process. command is its command line; nil means this very binary with Arg.
func Start(command []string, logger *slog.Logger) (*Reaper, error) {
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("start the reaper: find this binary: %w", err)
		}
		command = []string{self, Arg}
	}
	r := &Reaper{
		command: command, logger: logger,
		stop: make(chan struct{}), done: make(chan struct{}),
		groups: map[int]bool{}, dirs: map[string]bool{}, cgroups: map[string]bool{},
	}
	cmd, err := r.spawn()
	if err != nil {
		return nil, err
	}
	go r.watch(cmd)
	return r, nil
}

// spawn starts one process and tells it all that is known.
func (r *Reaper) spawn() (*exec.Cmd, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the reaper: %w", err)
	}
	defer in.Close()
	hear, say, err := os.Pipe()
	if err != nil {
		out.Close()
		return nil, fmt.Errorf("start the reaper: %w", err)
	}
	defer hear.Close()
	defer say.Close()
	cmd := exec.Command(r.command[0], r.command[1:]...)
	cmd.Stdin = in
	cmd.Stdout = say
	cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=none"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		out.Close()
		return nil, fmt.Errorf("start the reaper %q: %w", r.command, err)
	}
	say.Close()
	if err := awaitReady(hear); err != nil {
		out.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("start the reaper %q: %w", r.command, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pipe, r.process = out, cmd.Process
	for dir := range r.dirs {
		r.send("dir " + dir)
	}
	for path := range r.cgroups {
		r.send("cgroup " + path)
	}
	for pgid := range r.groups {
		r.send(fmt.Sprintf("add %d", pgid))
	}
	return cmd, nil
}

// awaitReady waits until the process says that it is the reaper and ignores signals.
func awaitReady(from *os.File) error {
	if err := from.SetReadDeadline(time.Now().Add(readyTimeout)); err != nil {
		return err
	}
	line := make([]byte, len(ready))
	if n, _ := io.ReadFull(from, line); string(line[:n]) != ready {
		return fmt.Errorf("within %v expected the line %q on its standard output, found %q: is it the host's binary?", readyTimeout, strings.TrimSpace(ready), line[:n])
	}
	return nil
}

// watch waits for the process and replaces it as long as the host lives.
func (r *Reaper) watch(cmd *exec.Cmd) {
	defer close(r.done)
	for {
		err := cmd.Wait()
		r.drop()
		select {
		case <-r.stop:
			return
		default:
		}
		r.logger.Warn("the reaper ended; starting it anew", "pid", cmd.Process.Pid, "error", err)
		for cmd = nil; cmd == nil; {
			select {
			case <-r.stop:
				return
			case <-time.After(respawnDelay):
			}
			if cmd, err = r.spawn(); err != nil {
				r.logger.Error("cannot start the reaper: plugin servers may outlive a killed host", "error", err)
			}
		}
		select {
		case <-r.stop: // Close may have come before spawn made the new pipe
			r.drop()
		default:
		}
	}
}

func (r *Reaper) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pipe != nil {
		r.pipe.Close()
		r.pipe = nil
	}
}

// send writes one line; r.mu is held. A reaper that does not read is killed, and watch starts the next one.
func (r *Reaper) send(line string) {
	if r.pipe == nil {
		return // the next one is told everything when it starts
	}
	err := r.pipe.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = r.pipe.WriteString(line + "\n")
	}
	if err != nil && !errors.Is(err, os.ErrClosed) {
		_ = r.process.Kill()
	}
}

// PID is the process id of the reaper that runs now.
func (r *Reaper) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process.Pid
}

// Dir has the run directory removed when the host is gone. The base name of path starts with DirPrefix.
func (r *Reaper) Dir(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dirs[path] = true
	r.send("dir " + path)
}

// Cgroup has the cgroup killed and removed when the host is gone. The base name of path starts with DirPrefix.
func (r *Reaper) Cgroup(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cgroups[path] = true
	r.send("cgroup " + path)
}

// Add has the process group killed when the host is gone.
func (r *Reaper) Add(pgid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups[pgid] = true
	r.send(fmt.Sprintf("add %d", pgid))
}

// Del takes a process group back. It is called before the group's leader is waited for, so that the number cannot have a new owner.
func (r *Reaper) Del(pgid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.groups, pgid)
	r.send(fmt.Sprintf("del %d", pgid))
}

// Close ends the reaper, which cleans up what is still there, and waits for it. Call it once.
func (r *Reaper) Close() {
	close(r.stop)
	r.drop()
	select {
	case <-r.done:
	case <-time.After(2 * settle): // stopped by somebody
		r.mu.Lock()
		_ = r.process.Kill()
		r.mu.Unlock()
		<-r.done
	}
}
