package pluginserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// misdeedKey holds what the fake server does beside its work, as WHAT=FILE. Its result goes to FILE. All but look and daemon begin when
// FILE.go exists.
//
//	look         what the process sees of itself, as JSON
//	daemon       start a process that leaves the process group, with its pid in FILE
//	bomb         fork without end
//	hog          take memory without end
//	descriptors  open files without end
//	fill         write FILE.big without end
const misdeedKey = "FAKE_MISDEED"

// sight is what a process sees of itself.
type sight struct {
	Stdin   string
	Files   map[string]string // what else is open, by number
	Env     []string
	Status  string // of /proc/self/status
	Limits  string // of /proc/self/limits
	Umask   int
	Calls   map[string]string // error of system calls that the default profile denies
	Write   map[string]string // error of writing files at OUTRIGGER_RUN_DIR, TMPDIR and /
	ReadEtc string            // error of reading /etc/shadow's directory
}

func misbehave() {
	what, file, ok := strings.Cut(os.Getenv(misdeedKey), "=")
	if !ok {
		return
	}
	switch what {
	case "look":
		look(file)
		return
	case "daemon":
		daemon(file)
		return
	}
	go func() {
		for !exists(file + ".go") {
			time.Sleep(5 * time.Millisecond)
		}
		var err error
		switch what {
		case "bomb":
			// Every process goes on trying: the server has no room for a thread as long as it lasts.
			err = exec.Command("sh", "-c", `bomb() { bomb | bomb & wait; }; while :; do bomb; done 2>/dev/null`).Run()
		case "hog":
			err = hog()
		case "descriptors":
			var files []*os.File
			for err == nil {
				var f *os.File
				if f, err = os.Open("/dev/null"); err == nil {
					files = append(files, f)
				}
			}
			if len(files) > 4 { // room to tell
				files[0].Close()
				files[1].Close()
			}
			defer func() { _ = files }()
		case "fill":
			err = fill(file + ".big")
		}
		tell(file, []byte(fmt.Sprint(err)))
		if what == "descriptors" {
			select {} // they stay open
		}
	}()
}

func look(file string) {
	s := sight{Files: map[string]string{}, Calls: map[string]string{}, Write: map[string]string{}, Env: os.Environ()}
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		n, _ := strconv.Atoi(e.Name())
		switch {
		case err != nil: // of the listing itself
		case n == 0:
			s.Stdin = target
		case n > 2 && !strings.HasPrefix(target, "anon_inode:") && !strings.HasPrefix(target, "/sys/fs/cgroup/"): // Go's own: poller, cpu.max
			s.Files[e.Name()] = target
		}
	}
	b, _ := os.ReadFile("/proc/self/status")
	s.Status = strings.Join(strings.Fields(string(b)), " ")
	b, _ = os.ReadFile("/proc/self/limits")
	s.Limits = strings.Join(strings.Fields(string(b)), " ")
	s.Umask = syscall.Umask(0)
	syscall.Umask(s.Umask)
	// Each with arguments that do no harm where the filter is not there: the error tells which of the two has answered.
	for name, call := range map[string][4]uintptr{
		"unshare": {unix.SYS_UNSHARE, unix.CLONE_NEWUTS}, "setns": {unix.SYS_SETNS, 1 << 20}, "ptrace": {unix.SYS_PTRACE, unix.PTRACE_SEIZE, 1 << 29},
		"mount": {unix.SYS_MOUNT}, "keyctl": {unix.SYS_KEYCTL, 0, ^uintptr(2)}, "bpf": {unix.SYS_BPF, 1 << 20}, "reboot": {unix.SYS_REBOOT},
		"userfaultfd": {unix.SYS_USERFAULTFD, 1 << 20}, "kexec": {unix.SYS_KEXEC_LOAD, 0, 1 << 20}, "clock_settime": {unix.SYS_CLOCK_SETTIME, 1 << 20},
		"io_uring": {unix.SYS_IO_URING_SETUP}, "clone3": {unix.SYS_CLONE3}, "clone NEWUSER": {unix.SYS_CLONE, unix.CLONE_NEWUSER | unix.CLONE_FS},
		"getpid": {unix.SYS_GETPID},
	} {
		_, _, e := unix.Syscall(call[0], call[1], call[2], call[3])
		s.Calls[name] = ""
		if e != 0 {
			s.Calls[name] = unix.ErrnoName(e)
		}
	}
	for _, dir := range []string{os.Getenv(runDirKey), os.Getenv("WRITABLE"), os.Getenv("FORBIDDEN")} {
		if dir == "" {
			continue
		}
		err := os.WriteFile(filepath.Join(dir, "written"), []byte("x"), 0o600)
		s.Write[dir] = errorName(err)
	}
	_, err := os.ReadDir(os.Getenv("FORBIDDEN"))
	s.ReadEtc = errorName(err)
	b, _ = json.Marshal(s)
	tell(file, b)
}

// tell writes a file that is there whole, or not at all.
func tell(file string, text []byte) {
	if err := os.WriteFile(file+".new", text, 0o600); err == nil {
		_ = os.Rename(file+".new", file)
	}
}

func errorName(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return ""
}

// daemon starts a process as daemons start: in a session of its own, its parent gone, deaf to polite signals.
func daemon(file string) {
	script := `setsid -f sh -c 'trap "" TERM INT HUP; echo $$ >"$0.new"; mv "$0.new" "$0"; while :; do sleep 600; done' "$0" </dev/null >/dev/null 2>&1`
	if err := exec.Command("sh", "-c", script, file).Run(); err != nil {
		fmt.Fprintln(os.Stderr, "daemon:", err)
	}
	for !exists(file) {
		time.Sleep(2 * time.Millisecond)
	}
}

// hog takes memory until there is none.
func hog() error {
	for {
		b, err := unix.Mmap(-1, 0, 16<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return err
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
	}
}

// fill writes a file until it may not grow any more.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for range 1 << 14 { // 1 GiB, if nothing stops it
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}
