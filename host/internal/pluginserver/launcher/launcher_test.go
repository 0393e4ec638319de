package launcher

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is also the launcher.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Arg {
		Main()
	}
	os.Exit(m.Run())
}

const patience = 20 * time.Second

// launched is a launcher that runs, or what it has become.
type launched struct {
	cmd    *exec.Cmd
	socket *Socket
	output bytes.Buffer
}

func start(t testing.TB) *launched {
	t.Helper()
	socket, child, err := NewSocket()
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	l := &launched{cmd: Command(), socket: socket}
	l.cmd.ExtraFiles = []*os.File{nil, child}
	l.cmd.Stdout, l.cmd.Stderr = &l.output, &l.output
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close(); _ = l.cmd.Process.Kill(); _ = l.cmd.Wait() })
	return l
}

// run launches a shell script and returns what it printed.
func run(t *testing.T, script string, change func(*Spec)) string {
	t.Helper()
	l := start(t)
	spec := &Spec{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH"), "A=b"}}
	change(spec)
	if err := l.socket.Launch(spec, patience); err != nil {
		t.Fatal(err)
	}
	_ = l.cmd.Wait()
	return l.output.String()
}

func TestBecomesTheProgram(t *testing.T) {
	l := start(t)
	pid := l.cmd.Process.Pid
	if err := l.socket.Launch(&Spec{Path: "/bin/sh", Args: []string{"name", "-c", `echo $0 $$ $A; pwd; umask; ls /proc/self/fd`}, Env: []string{"A=b"}, Dir: "/usr"}, patience); err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(l.output.String())
	if want := []string{"name", strconv.Itoa(pid), "b", "/usr", "0077"}; strings.Join(lines[:5], " ") != strings.Join(want, " ") {
		t.Errorf("the program says %q, want %q", lines[:5], want)
	}
	if fds := strings.Join(lines[5:], " "); fds != "0 1 2 3" { // 3 is the directory that ls reads
		t.Errorf("open in the program: %s", fds)
	}
}

func TestFailuresNameTheStep(t *testing.T) {
	for name, c := range map[string]struct {
		spec  Spec
		step  string
		errno syscall.Errno
	}{
		"no program":   {Spec{Path: "/no/such/program", Args: []string{"x"}}, Executing, syscall.ENOENT},
		"no directory": {Spec{Path: "/bin/true", Args: []string{"x"}, Dir: "/no/such/dir"}, Entering, syscall.ENOENT},
		"limit beyond the system's": {
			Spec{Path: "/bin/true", Args: []string{"x"}, Limits: []Limit{{Name: "open_files", Resource: unix.RLIMIT_NOFILE, Value: 1 << 40}}},
			"set the limit open_files to 1099511627776", syscall.EPERM,
		},
		"wrong limit": {
			Spec{Path: "/bin/true", Args: []string{"x"}, Limits: []Limit{{Name: "odd", Resource: 99, Value: 1}}}, "set the limit odd to 1", syscall.EINVAL,
		},
		"path that cannot be looked at": {
			Spec{Path: "/bin/true", Args: []string{"x"}, NoNewPrivileges: true, Landlock: &Paths{Write: []string{"/bin/sh/below"}}},
			"restrict the paths with landlock", syscall.ENOTDIR,
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t)
			err := l.socket.Launch(&c.spec, patience)
			var f *Failure
			if !errors.As(err, &f) || f.Step != c.step || !errors.Is(err, c.errno) {
				t.Fatalf("error %#v, want %q with %v", err, c.step, c.errno)
			}
			var exit *exec.ExitError
			if err := l.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
				t.Errorf("the launcher ended with %v", err)
			}
		})
	}
}

func TestLimitsHoldFromTheFirstInstruction(t *testing.T) {
	got := run(t, `ulimit -n; ulimit -f; ulimit -c; ulimit -d`, func(s *Spec) {
		s.Limits = []Limit{
			{"open_files", unix.RLIMIT_NOFILE, 77}, {"file_size", unix.RLIMIT_FSIZE, 1 << 20}, {"core", unix.RLIMIT_CORE, 0},
			{"memory", unix.RLIMIT_DATA, 64 << 20},
		}
	})
	if want := "77 2048 0 65536"; strings.Join(strings.Fields(got), " ") != want { // blocks of 512 bytes, and KiB
		t.Errorf("limits %q, want %q", got, want)
	}
}

func TestAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	got := run(t, `id -u; id -g; id -G`, func(s *Spec) { s.User = &User{UID: 65534, GID: 65533, Groups: []int{65533, 65532}} })
	if want := "65534 65533 65533 65532"; strings.Join(strings.Fields(got), " ") != want {
		t.Errorf("user and groups %q, want %q", got, want)
	}
}

// A limit of tasks that is used up already is no reason to start without it.
func TestProcessesOfAUserWhoHasTooMany(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	l := start(t)
	err := l.socket.Launch(&Spec{
		Path: "/bin/sh", Args: []string{"sh", "-c", "echo it runs; (:) || echo no more"}, User: &User{UID: 54321, GID: 54321},
		Limits: []Limit{{"processes", unix.RLIMIT_NPROC, 1}},
	}, patience)
	_ = l.cmd.Wait()
	if err != nil && !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("error %v", err)
	}
	if out := l.output.String(); err == nil && !strings.Contains(out, "fork") {
		t.Errorf("a second process was possible: %q", out)
	}
}

func TestSeccompHoldsForWhatTheProgramStarts(t *testing.T) {
	if err := SeccompAvailable(); err != nil {
		t.Skip(err)
	}
	got := run(t, `grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status; unshare -u true; echo $?`, func(s *Spec) { s.NoNewPrivileges, s.Seccomp = true, true })
	words := strings.Fields(got)
	if !strings.Contains(strings.Join(words, " "), "NoNewPrivs: 1 Seccomp: 2") || words[len(words)-1] == "0" {
		t.Errorf("the program says %q", got)
	}
}

func TestLandlock(t *testing.T) {
	if err := LandlockAvailable(); err != nil {
		t.Skip(err)
	}
	open, closed := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(closed, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := run(t, `cd "$1"; echo x >"$0/a" && mv "$0/a" "$0/b" && echo moved; echo x >>secret || echo not written; true >secret || echo not truncated;
rm secret || echo not removed; cat secret; echo x >/dev/null && echo null`, func(s *Spec) {
		s.Args = append(s.Args, open, closed)
		s.NoNewPrivileges, s.Landlock = true, &Paths{Write: []string{open, "/no/such/path"}}
	})
	for _, want := range []string{"moved", "not written", "not truncated", "not removed", "secret", "null"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	got = run(t, `cat "$0/secret" || echo not read`, func(s *Spec) {
		s.Args = append(s.Args, closed)
		s.NoNewPrivileges, s.Landlock = true, &Paths{Read: []string{"/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"}}
	})
	if !strings.Contains(got, "not read") {
		t.Errorf("reading what is not listed: %q", got)
	}
}

// A launcher whose host goes away, or changes its mind, ends without a program.
func TestNoOrders(t *testing.T) {
	l := start(t)
	l.socket.Close()
	var exit *exec.ExitError
	if err := l.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Errorf("the launcher ended with %v", err)
	}
}

// A launcher that is killed before it has its orders is no failure of its own: its end is told by whoever waits for it.
func TestKilledBeforeItsOrders(t *testing.T) {
	l := start(t)
	if err := l.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.socket.Launch(&Spec{Path: "/bin/true", Args: []string{"true"}}, patience) }()
	if err := l.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("launch: %v", err)
	}
}

func TestALauncherThatHangsIsGivenUp(t *testing.T) {
	l := start(t)
	if err := l.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := l.socket.Launch(&Spec{Path: "/bin/true", Args: []string{"true"}}, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("launch: %v, want the deadline", err)
	}
}

// BenchmarkStart compares a start through the launcher with one without.
func BenchmarkStart(b *testing.B) {
	b.Run("direct", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		name              string
		seccomp, landlock bool
	}{{"launcher", false, false}, {"launcher with seccomp", true, false}, {"launcher with seccomp and landlock", true, true}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				socket, child, err := NewSocket()
				if err != nil {
					b.Fatal(err)
				}
				cmd := Command()
				cmd.ExtraFiles, cmd.Stdout = []*os.File{nil, child}, io.Discard
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				child.Close()
				spec := &Spec{Path: "/bin/true", Args: []string{"true"}, NoNewPrivileges: true, Seccomp: c.seccomp}
				if c.landlock && LandlockAvailable() == nil {
					spec.Landlock = &Paths{Write: []string{"/tmp"}}
				}
				if err := socket.Launch(spec, patience); err != nil {
					b.Fatal(err)
				}
				socket.Close()
				if err := cmd.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
