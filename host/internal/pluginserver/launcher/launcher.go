// Package launcher starts programs under restrictions that hold from their first instruction.
//
// The launcher is the host's own binary started with the argument Arg. It waits for a Spec on the socket with the number FD, restricts
// itself as the Spec says, and becomes the program with execve: the process keeps its number, its group and its descriptors. When
// anything fails before that, the launcher writes a Failure to the socket and exits. The socket is closed by a successful execve, so
// its end without a Failure means that the program runs.
//
// It is a program of its own because a Go process cannot run code between fork and execve. The host may do what needs the number of
// the process before it sends the Spec: until then nothing of the program has run.
package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// Arg is the hidden first argument that turns the host's binary into the launcher.
const Arg = "__launcher"

// FD is the number of the socket in the launcher. The program does not see it.
const FD = 4

// exitFailed is the exit status of a launcher that did not come to its program.
const exitFailed = 125

// Spec says what to run and how. Everything is checked by the host; the launcher does all of it or fails.
type Spec struct {
	Path string   // of the program; relative to Dir
	Args []string // with the name of the program
	Env  []string
	Dir  string // working directory; empty: the launcher's

	User   *User // nil: the launcher's
	Limits []Limit
	// NoNewPrivileges: set-uid programs and file capabilities give nothing. Needed by Seccomp and Landlock.
	NoNewPrivileges bool
	Seccomp         bool
	Landlock        *Paths // nil: everything that the user may reach
}

// User is whom the program runs as.
type User struct {
	UID, GID int
	Groups   []int
}

// Limit is a resource limit, soft and hard.
type Limit struct {
	Name     string // for messages
	Resource int    // RLIMIT_…
	Value    uint64
}

// umask of the program: what it makes is its user's alone.
const umask = 0o077

// Failure is what the launcher tells when it did not come to its program.
type Failure struct {
	Step  string        // what was being done
	Text  string        // what went wrong
	Errno syscall.Errno // 0: none
}

func (f *Failure) Error() string { return f.Step + ": " + f.Text }

// Unwrap gives the number of the error, so that errors.Is finds it.
func (f *Failure) Unwrap() error {
	if f.Errno == 0 {
		return nil
	}
	return f.Errno
}

// Steps of a Failure that concern the program and not its isolation.
const (
	Entering  = "enter the working directory"
	Executing = "run the program"
)

// Main is the whole launcher. It never returns.
func Main() {
	// Limits, filters and users belong to a thread until it becomes the program, alone.
	runtime.LockOSThread()
	debug.SetGCPercent(-1) // a collector would need memory that the limits may not leave
	socket := os.NewFile(FD, "launcher socket")
	// Whatever the host has left open by mistake ends here too. A kernel without close_range (before 5.11) closes the socket at least.
	unix.CloseOnExec(FD)
	_ = unix.CloseRange(FD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	b, err := io.ReadAll(socket)
	if err != nil || len(b) == 0 { // the host has changed its mind, or is gone
		os.Exit(exitFailed)
	}
	spec := &Spec{}
	f := failure("read the orders of the host", json.Unmarshal(b, spec))
	if f == nil {
		f = spec.run()
	}
	_ = json.NewEncoder(socket).Encode(f)
	os.Exit(exitFailed)
}

func failure(step string, err error) *Failure {
	if err == nil {
		return nil
	}
	f := &Failure{Step: step, Text: err.Error()}
	_ = errors.As(err, &f.Errno)
	return f
}

// run becomes the program. The order matters: what needs privileges comes before the user, what takes memory before the limit of it.
func (s *Spec) run() *Failure {
	var f filter
	if s.Seccomp {
		var err error
		if f, err = compile(); err != nil {
			return failure("make the seccomp filter", err)
		}
	}
	unix.Umask(umask)
	if s.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return failure("set no_new_privs", err)
		}
	}
	if s.Landlock != nil {
		if err := s.Landlock.restrict(); err != nil {
			return failure("restrict the paths with landlock", err)
		}
	}
	for _, l := range s.Limits {
		// Not unix.Prlimit: Go would set the number of open files back when it executes the program.
		if err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: l.Value, Max: l.Value}); err != nil {
			return failure(fmt.Sprintf("set the limit %s to %d", l.Name, l.Value), err)
		}
	}
	if s.User != nil {
		if err := s.User.become(); err != nil {
			return failure(fmt.Sprintf("become user %d and group %d", s.User.UID, s.User.GID), err)
		}
	}
	if s.Dir != "" {
		if err := os.Chdir(s.Dir); err != nil {
			return failure(Entering, err)
		}
	}
	if err := f.install(); err != nil {
		return failure("install the seccomp filter", err)
	}
	return failure(Executing, syscall.Exec(s.Path, s.Args, s.Env))
}

// become changes the user of all threads.
func (u *User) become() error {
	if err := syscall.Setgroups(u.Groups); err != nil {
		return err
	}
	if err := syscall.Setresgid(u.GID, u.GID, u.GID); err != nil {
		return err
	}
	return syscall.Setresuid(u.UID, u.UID, u.UID)
}
