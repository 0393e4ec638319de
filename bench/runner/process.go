package runner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/roles"
)

// startTimeout bounds the start of one process, its plugin server included; stopTimeout its end.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// process is a program that the runner started and ends.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string      // the file with its standard error
	in    io.Writer   // its standard input; nil unless it was asked for
	lines chan string // of its standard output
	ended chan struct{}
	err   error // set when ended is closed
}

// program is what to start.
type program struct {
	name string
	// dir is its working directory, and where its log goes.
	dir  string
	args []string
	env  []string
	// talks says that it reads its standard input.
	talks bool
}

// role is a process of this program itself, bound to processors if cpus are given.
func (r *Runner) role(cpus string, args ...string) []string {
	return r.pinned(cpus, slices.Concat([]string{r.Program, roles.Command}, args))
}

func (r *Runner) pinned(cpus string, args []string) []string {
	if cpus == "" {
		return args
	}
	return slices.Concat([]string{r.Program, roles.Command, "pin", cpus}, args)
}

// start starts a program. It has a process group of its own, so that Ctrl-C comes to the runner alone, which ends its children in order; should
// the runner be killed, they get SIGTERM.
func start(p program) (*process, error) {
	made := &process{name: p.name, cmd: exec.Command(p.args[0], p.args[1:]...), lines: make(chan string, 64), ended: make(chan struct{})}
	made.log = filepath.Join(p.dir, fileName(p.name)+".log")
	log, err := os.Create(made.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	cmd := made.cmd
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stderr = log
	if p.talks {
		if made.in, err = cmd.StdinPipe(); err != nil {
			return nil, err
		}
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = in
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	go made.listen(out)
	go func() {
		made.err = cmd.Wait()
		close(made.ended)
	}()
	return made, nil
}

// listen passes the lines of the standard output on. What nobody reads in time is dropped: gateways of others talk.
func (p *process) listen(out io.ReadCloser) {
	defer func() { _ = out.Close() }()
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		if p.in != nil {
			p.lines <- scan.Text()
			continue
		}
		select {
		case p.lines <- scan.Text():
		default:
		}
	}
}

// line waits for the next line that begins with prefix, and returns the rest of it.
func (p *process) line(ctx context.Context, prefix string, within time.Duration) (string, error) {
	late := time.NewTimer(within)
	defer late.Stop()
	for {
		select {
		case line := <-p.lines:
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return rest, nil
			}
		case <-p.ended:
			return "", p.failed()
		case <-late.C:
			return "", fmt.Errorf("%s said nothing for %s%s", p.name, within, p.tail())
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// failed is that the process has ended.
func (p *process) failed() error {
	err := p.err
	if err == nil {
		err = errors.New("exit status 0")
	}
	return fmt.Errorf("%s ended: %w%s", p.name, err, p.tail())
}

// running says why the process does not run any more, if so.
func (p *process) running() error {
	select {
	case <-p.ended:
		return p.failed()
	default:
		return nil
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process and waits for it. What is left after stopTimeout is killed; a gateway's reaper then ends its plugin servers.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	late := time.NewTimer(stopTimeout)
	defer late.Stop()
	select {
	case <-p.ended:
		return nil
	case <-late.C:
	}
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.ended
	return fmt.Errorf("%s did not end within %s and was killed%s", p.name, stopTimeout, p.tail())
}

// tail is the end of the process's log, on lines of its own.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	text := strings.TrimSpace(string(b))
	if err != nil || text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	return "\n" + strings.Join(lines[max(0, len(lines)-15):], "\n")
}
