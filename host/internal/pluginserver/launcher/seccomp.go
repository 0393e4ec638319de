package launcher

import (
	"errors"
	"fmt"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// denied are the system calls of the default profile that fail with EPERM: they watch or change other processes, the kernel, the clock,
// the mounts and the namespaces of the machine. A plugin has no use for them.
var denied = []string{
	// other processes
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd", "move_pages", "migrate_pages",
	// the kernel and its modules
	"init_module", "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms", "kexec_load", "kexec_file_load",
	"bpf", "perf_event_open", "lookup_dcookie", "iopl", "ioperm", "modify_ldt", "uselib", "ustat", "sysfs", "_sysctl", "nfsservctl",
	"syslog", "reboot", "quotactl", "quotactl_fd", "acct", "vhangup",
	// mounts and namespaces
	"mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
	"mount_setattr", "unshare", "setns", "swapon", "swapoff", "fanotify_init", "open_by_handle_at", "name_to_handle_at",
	// clock and names of the machine
	"clock_settime", "clock_settime64", "settimeofday", "stime", "adjtimex", "clock_adjtime", "clock_adjtime64", "sethostname", "setdomainname",
	// keys of the kernel, and a way to stop it at a page
	"add_key", "keyctl", "request_key", "userfaultfd",
}

// absent are the system calls that fail with ENOSYS: programs that know them fall back to others.
var absent = []string{"io_uring_setup", "io_uring_enter", "io_uring_register"}

// namespaces are the flags of clone that make new ones. clone3 takes its flags in memory, where a filter cannot see them, so it is
// absent: every C library falls back to clone.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// filter is a compiled profile; nil: none.
type filter []bpf.RawInstruction

// SeccompAvailable is an error that says why this machine has no seccomp filters.
func SeccompAvailable() error {
	errno := uint32(unix.SECCOMP_RET_ERRNO)
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&errno))); e != 0 {
		return fmt.Errorf("the kernel offers no filters: %w", e)
	}
	_, err := compile()
	return err
}

// compile makes the default profile. Another architecture's calls (32 bit on a 64 bit machine) are all refused: their numbers mean
// something else.
func compile() (filter, error) {
	machine, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	known := func(names []string) (here []string) {
		for _, name := range names {
			if _, ok := machine.SyscallNames[name]; ok {
				here = append(here, name)
			}
		}
		return here
	}
	var clones []seccomp.NameWithConditions
	for bit := uint64(1); bit < 1<<32; bit <<= 1 {
		if namespaces&bit != 0 {
			clones = append(clones, seccomp.NameWithConditions{
				Name: "clone", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsSet, Value: bit}},
			})
		}
	}
	const nosys = seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			{Names: known(denied), Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM)},
			{NamesWithCondtions: clones, Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM)},
			{Names: known(append([]string{"clone3"}, absent...)), Action: nosys},
		},
	}
	body, err := policy.Assemble()
	if err != nil {
		return nil, err
	}
	guard := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 4}, // struct seccomp_data: the architecture
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(machine.ID), SkipTrue: 1},
		bpf.RetConstant{Val: uint32(nosys)},
	}
	return bpf.Assemble(append(guard, body...))
}

// install applies the filter to this thread.
func (f filter) install() error {
	if len(f) == 0 {
		return nil
	}
	code := make([]unix.SockFilter, len(f))
	for i, in := range f {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	// Without SPEC_ALLOW older kernels would slow the program down against speculation, which the filter is not about.
	for _, flags := range []uintptr{unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0} {
		_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
		if e == 0 {
			return nil
		}
		if !errors.Is(e, unix.EINVAL) {
			return e
		}
	}
	return unix.EINVAL
}
