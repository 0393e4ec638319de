package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/cgroup"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/launcher"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/reaper"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// lifelineFD is the number of the lifeline in the child: the first descriptor after the standard ones.
const lifelineFD = 3

// drainOutput is how long the output of a dead process is still read when a descendant that left the group holds it open.
const drainOutput = time.Second

// process is one managed process. It implements go-plugin's runner.Runner: go-plugin does the handshake, and everything about the
// operating system is here.
//
// The process leads a group of its own, has /dev/null as standard input, inherits no descriptor but its outputs and the lifeline, and
// its group, its cgroup and what else it has started are killed when the leader ends. It is started by the launcher, so that its
// isolation holds from its first instruction. go-plugin sees a standard output that holds the handshake line alone, and a standard error
// that is empty; both end with the process.
type process struct {
	cfg     *Config
	command []string
	dir     string
	env     []string // set by go-plugin's RunnerFunc
	tmpDir  string   // for sockets; owned by the account
	account *account // nil: the host's
	iso     *isolation
	reaper  *reaper.Reaper
	logger  *slog.Logger
	stdoutR *io.PipeReader // what go-plugin sees
	stdoutW *io.PipeWriter
	stderrR *io.PipeReader
	stderrW *io.PipeWriter

	cmd      *exec.Cmd
	group    *cgroup.Group // nil: none
	pid      atomic.Int64
	lifeline *os.File
	tail     lastLine
	output   sync.WaitGroup
	exited   chan struct{} // closed when the process has been waited for and its output was read

	mu       sync.Mutex
	killed   bool // before or after the start: a start is refused
	reaped   bool
	byItself bool // ended, and nobody here had killed it
	waitErr  error
	starved  bool // the kernel has killed one of its processes because the memory of the cgroup was used up
	refused  int  // processes and threads that the cgroup had no room for
}

func newProcess(cfg *Config, iso *isolation, a *account, r *reaper.Reaper, logger *slog.Logger) *process {
	p := &process{
		cfg: cfg, command: cfg.Command, dir: cfg.Dir, iso: iso, account: a, reaper: r, logger: logger,
		exited: make(chan struct{}),
	}
	p.stdoutR, p.stdoutW = io.Pipe()
	p.stderrR, p.stderrW = io.Pipe()
	return p
}

// errKilled is why a process does not start that was killed before.
var errKilled = errors.New("stopped before it was started")

// Start starts the process: the launcher, which becomes the program. Part of runner.Runner.
func (p *process) Start(context.Context) error {
	program, err := exec.LookPath(p.command[0])
	if err != nil {
		if !strings.Contains(p.command[0], "/") {
			return p.refuse(explainExec(p.command[0], p.dir, err))
		}
		program = p.command[0] // relative to its working directory; the launcher tells what is wrong with it
	}
	socket, err := p.startLauncher()
	if err != nil {
		return p.refuse(err)
	}
	defer socket.Close()
	if err := socket.Launch(p.spec(program), p.cfg.StartTimeout); err != nil {
		p.signal(syscall.SIGKILL)
		<-p.exited
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pid.Store(0) // no program has run
		p.waitErr = p.explainLaunch(program, err)
		return p.waitErr
	}
	return nil
}

// refuse notes why the process does not start at all.
func (p *process) refuse(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	p.waitErr = err
	p.stdoutW.Close()
	p.stderrW.Close()
	close(p.exited)
	return err
}

// startLauncher starts the launcher, in the cgroup and known to the reaper, and what waits for its end. It has no orders yet.
func (p *process) startLauncher() (socket *launcher.Socket, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed {
		return nil, errKilled
	}
	var files [6]*os.File // read and write ends of stdout, stderr and lifeline
	var ordersEnd *os.File
	defer func() {
		for i, f := range files {
			if f != nil && (err != nil || i == 1 || i == 3 || i == 4) { // the child has its own copies
				f.Close()
			}
		}
		if ordersEnd != nil {
			ordersEnd.Close()
		}
		if err != nil && socket != nil {
			socket.Close()
		}
		if err != nil && p.group != nil {
			_ = p.group.Close()
		}
	}()
	for i := 0; i < len(files); i += 2 {
		if files[i], files[i+1], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	if socket, ordersEnd, err = launcher.NewSocket(); err != nil {
		return nil, err
	}
	p.cmd = launcher.Command()
	p.cmd.Stdout, p.cmd.Stderr = files[1], files[3]
	p.cmd.ExtraFiles = []*os.File{files[4], ordersEnd} // lifelineFD, launcher.FD
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.iso.groups != nil {
		if p.group, err = p.iso.groups.Make(filepath.Base(p.tmpDir)+"-"+p.cfg.Name, p.iso.limits); err != nil {
			return socket, err
		}
		p.cmd.SysProcAttr.UseCgroupFD, p.cmd.SysProcAttr.CgroupFD = true, p.group.FD()
	}
	if err = p.cmd.Start(); err != nil {
		return socket, fmt.Errorf("start the launcher: %w", err)
	}
	pid := p.cmd.Process.Pid
	p.pid.Store(int64(pid))
	p.reaper.Add(pid)
	p.lifeline = files[5]
	p.output.Go(func() { p.readStdout(files[0]) })
	p.output.Go(func() { p.readStderr(files[2]) })
	go p.wait(files[0], files[2])
	return socket, nil
}

// spec is what the launcher runs.
func (p *process) spec(program string) *launcher.Spec {
	s := p.iso.spec
	s.Path, s.Args, s.Env, s.Dir = program, p.command, p.env, p.dir
	s.Landlock = p.iso.pathsOf(p.cfg, program, p.tmpDir)
	if a := p.account; a != nil {
		s.User = &launcher.User{UID: a.uid, GID: a.gid, Groups: a.groups}
	}
	return &s
}

// explainLaunch says in words why the launcher did not become the program.
func (p *process) explainLaunch(program string, err error) error {
	var f *launcher.Failure
	if !errors.As(err, &f) {
		return err
	}
	if f.Step == launcher.Executing || f.Step == launcher.Entering {
		return explainExec(program, p.dir, err)
	}
	return fmt.Errorf("isolate %s: %w", strings.Join(p.command, " "), err)
}

// readStdout passes the handshake line on and logs every other line.
func (p *process) readStdout(out *os.File) {
	defer out.Close() // stdoutW stays open until the process ends: go-plugin must not take its end of file for the reason
	shaken := false
	eachLine(out, func(line string, part int, more bool) {
		if !shaken && part == 0 && isHandshake(line) {
			shaken = true
			_, _ = io.WriteString(p.stdoutW, line+"\n")
			return
		}
		p.logLine("stdout", line, part, more)
	})
}

func (p *process) readStderr(out *os.File) {
	defer out.Close()
	eachLine(out, func(line string, part int, more bool) { p.logLine("stderr", line, part, more) })
}

func (p *process) logLine(stream, line string, part int, more bool) {
	if part <= 1 {
		p.tail.set(stream, line)
	}
	attrs := []any{"pid", p.pid.Load(), "stream", stream}
	if part > 0 {
		attrs = append(attrs, "part", part, "more", more)
	}
	p.logger.Log(context.Background(), telemetry.LevelNotice, line, attrs...) // visible by default: it may be why the server ended
}

// wait ends with the process. The group is killed, and taken back from the reaper, before the leader is waited for: until then the
// number of the group has no other owner.
func (p *process) wait(stdout, stderr *os.File) {
	pid := p.cmd.Process.Pid
	waitLeader(pid)
	p.mu.Lock()
	p.byItself = !p.killed
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	p.reaper.Del(pid)
	p.reaped = true
	p.waitErr = p.cmd.Wait()
	p.mu.Unlock()
	p.endDescendants()
	p.lifeline.Close()
	end := time.Now().Add(drainOutput)
	_ = stdout.SetReadDeadline(end)
	_ = stderr.SetReadDeadline(end)
	p.output.Wait()
	p.stdoutW.Close()
	p.stderrW.Close()
	close(p.exited)
}

// endDescendants ends what the process has started and what left its group.
func (p *process) endDescendants() {
	if p.group == nil {
		reaper.KillDescendants(p.tmpDir, false)
		return
	}
	starved, refused := p.group.Killed(), p.group.Refused()
	p.mu.Lock()
	p.starved, p.refused = starved, refused
	p.mu.Unlock()
	if err := p.group.Close(); err != nil {
		p.logger.Warn("cannot remove the cgroup of a plugin server that has ended", "cgroup", p.group.Path(), "error", err)
	}
}

// memory is what the process and all that it has started use, in bytes; 0: not known.
func (p *process) memory() uint64 {
	if p.group == nil {
		return 0
	}
	n, _ := p.group.Memory()
	return n
}

// signal sends sig to the whole group, as long as it is ours.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sig == syscall.SIGKILL {
		p.killed = true
	}
	if pid := p.pid.Load(); pid != 0 && !p.reaped {
		_ = syscall.Kill(-int(pid), sig)
	}
}

// endedByItself says whether the process has ended before anybody here killed it.
func (p *process) endedByItself() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byItself
}

// ending says how the process ended, for messages. It is called after exited was closed.
func (p *process) ending() string { return p.endingWhen("") }

// endingWhen is ending with a word on when it was.
func (p *process) endingWhen(when string) string {
	p.mu.Lock()
	err, starved, refused := p.waitErr, p.starved, p.refused
	p.mu.Unlock()
	if p.pid.Load() == 0 {
		return err.Error()
	}
	s := "exit status 0"
	if err != nil {
		s = err.Error()
	}
	if starved {
		s += ", after the kernel had killed for want of memory: it and what it started used more than limits.memory"
	}
	if refused > 0 {
		s += fmt.Sprintf(", after %d processes or threads were refused by limits.processes", refused)
	}
	s = fmt.Sprintf("ended with %s%s (pid %d, started as %q)", s, when, p.pid.Load(), strings.Join(p.command, " "))
	if line := p.tail.String(); line != "" {
		s += "; its last line on " + line
	}
	return s
}

// The rest of runner.Runner.

// Wait returns when the process has ended.
func (p *process) Wait(context.Context) error {
	<-p.exited
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waitErr
}

// Kill kills the group; it does not wait.
func (p *process) Kill(context.Context) error { p.signal(syscall.SIGKILL); return nil }

// Stdout is the handshake line.
func (p *process) Stdout() io.ReadCloser { return p.stdoutR }

// Stderr is empty.
func (p *process) Stderr() io.ReadCloser { return p.stderrR }

// Name is the program.
func (p *process) Name() string { return p.command[0] }

// ID is the pid; empty before the start.
func (p *process) ID() string {
	if pid := p.pid.Load(); pid != 0 {
		return strconv.FormatInt(pid, 10)
	}
	return ""
}

// Diagnose is unused: our own messages say more.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost and HostToPlugin: host and plugin see the same files.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin is PluginToHost's inverse.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// lastLine keeps the last line that is not blank, which is where interpreters name the reason of their end. Stack frames may follow it: an
// indented line does not take the place of one that is not, nor does the version that Node.js says last.
type lastLine struct {
	mu       sync.Mutex
	line     string
	indented bool
}

func (l *lastLine) set(stream, line string) {
	text := strings.TrimSpace(line)
	if text == "" || strings.HasPrefix(line, "Node.js v") {
		return
	}
	indented := line[0] == ' ' || line[0] == '\t'
	l.mu.Lock()
	defer l.mu.Unlock()
	if indented && !l.indented && l.line != "" {
		return
	}
	l.line, l.indented = fmt.Sprintf("%s: %q", stream, shorten(text)), indented
}

func (l *lastLine) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.line
}
