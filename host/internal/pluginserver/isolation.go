package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/cgroup"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/launcher"
)

// What an Isolation may say of a measure; the zero value is the default of each.
const (
	IsolationAuto     = "auto"     // where the machine offers it; otherwise that is reported
	IsolationDefault  = "default"  // the same, of a profile
	IsolationOff      = "off"      // not even where the machine offers it
	IsolationRequired = "required" // the server does not start without it
)

// Isolation says how a managed server is kept apart from the machine.
type Isolation struct {
	Cgroup        string    // auto (default), off, required
	Seccomp       string    // default (default), off, required
	Landlock      *Landlock // nil: every path
	NewPrivileges bool      // set-uid programs work; excludes seccomp and landlock
}

// Landlock restricts the paths that a server may use.
type Landlock struct {
	Read  []string // may be read and executed, beside the system's; nil: everything
	Write []string // may be changed too, beside the run directory
	Mode  string   // auto (default), required
}

// States of a Measure, the best first.
const (
	MeasureOn           = "on"
	MeasurePartial      = "partial" // the detail says what is missing
	MeasureOff          = "off"
	MeasureNotAvailable = "not available"
)

// Measure is one way in which the processes of a server are kept apart, as an operator sees it.
type Measure struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
}

// isolation is what the processes of a server get. It is decided once, before the first one starts.
type isolation struct {
	spec     launcher.Spec // without program, environment and user
	landlock bool
	groups   *cgroup.Tree // nil: none
	limits   cgroup.Limits
	measures []Measure
	asked    bool  // something that the settings ask for is not there, or not wholly
	err      error // something required is not there
}

// note adds a measure.
func (i *isolation) note(name, state, format string, args ...any) {
	i.measures = append(i.measures, Measure{Name: name, State: state, Detail: fmt.Sprintf(format, args...)})
}

// miss adds a measure that is not available. required refuses the server; asked says that the settings name the measure.
func (i *isolation) miss(name string, required, asked bool, err error) {
	i.note(name, MeasureNotAvailable, "%v", err)
	i.asked = i.asked || asked
	if required {
		i.asked = true
		i.err = errors.Join(i.err, fmt.Errorf("%s is required, but it is not available: %w", settingOf(name), err))
	}
}

// settingOf is where a measure stands in the settings.
func settingOf(measure string) string {
	if strings.Contains(measure, ".") {
		return measure + " (isolation.cgroup: required)"
	}
	return "isolation." + measure
}

// isolate decides what the processes of a server get. tree is nil when there are no cgroups, and noTree says why.
func isolate(cfg *Config, a *account, tree *cgroup.Tree, noTree error) *isolation {
	i := &isolation{}
	i.note("process", MeasureOn, "own process group, no inherited descriptors, restricted environment, umask 077, no core files")
	i.spec.Limits = []launcher.Limit{{Name: "core", Resource: unix.RLIMIT_CORE}}
	if a != nil {
		i.note("user", MeasureOn, "%s", a.name)
	} else {
		i.note("user", MeasureOff, "the gateway's")
	}
	i.privileges(cfg)
	i.paths(cfg)
	i.group(cfg, tree, noTree)
	i.resources(cfg, a)
	return i
}

func (i *isolation) privileges(cfg *Config) {
	iso := &cfg.Isolation
	i.spec.NoNewPrivileges = !iso.NewPrivileges
	if iso.NewPrivileges {
		i.note("no_new_privileges", MeasureOff, "")
	} else {
		i.note("no_new_privileges", MeasureOn, "")
	}
	if iso.NewPrivileges && iso.Seccomp != IsolationOff {
		i.note("seccomp", MeasureOff, "the kernel takes no filter with no_new_privileges: off")
	} else if iso.Seccomp == IsolationOff {
		i.note("seccomp", MeasureOff, "")
	} else if err := launcher.SeccompAvailable(); err != nil {
		i.miss("seccomp", iso.Seccomp == IsolationRequired, false, err)
	} else {
		i.spec.Seccomp = true
		i.note("seccomp", MeasureOn, "profile default")
	}
}

func (i *isolation) paths(cfg *Config) {
	l := cfg.Isolation.Landlock
	if l == nil {
		i.note("landlock", MeasureOff, "no paths are configured")
		return
	}
	if err := launcher.LandlockAvailable(); err != nil {
		i.miss("landlock", l.Mode == IsolationRequired, true, err)
		return
	}
	i.landlock = true
	read := "everything"
	if l.Read != nil {
		read = strings.Join(append([]string{"the system"}, l.Read...), ", ")
	}
	i.note("landlock", MeasureOn, "read: %s; write: %s", read, strings.Join(append([]string{"its run directory"}, l.Write...), ", "))
}

func (i *isolation) group(cfg *Config, tree *cgroup.Tree, noTree error) {
	const unbound = "at the end of the server its process group is killed, and what has left it but kept the environment"
	mode := cfg.Isolation.Cgroup
	switch {
	case mode == IsolationOff:
		i.note("cgroup", MeasureOff, "")
		i.note("descendants", MeasurePartial, unbound)
	case tree == nil:
		i.miss("cgroup", mode == IsolationRequired, false, noTree)
		i.note("descendants", MeasurePartial, unbound)
	default:
		i.groups = tree
		i.note("cgroup", MeasureOn, "%s", tree.Path())
		i.note("descendants", MeasureOn, "all end with the server")
	}
}

// controller is an error that says why the groups of the server cannot limit something.
func (i *isolation) controller(name string) error {
	if i.groups == nil {
		return errors.New("no cgroup")
	}
	return i.groups.Has(name)
}

// resources decides how the limits are kept. Those that are not set are not listed.
func (i *isolation) resources(cfg *Config, a *account) {
	rlimit := func(name string, resource int, value uint64) {
		i.spec.Limits = append(i.spec.Limits, launcher.Limit{Name: name, Resource: resource, Value: value})
	}
	whole := cfg.Isolation.Cgroup == IsolationRequired
	partly := func(name string, err error, format string, args ...any) {
		if whole {
			i.miss(name, true, true, err)
			return
		}
		i.asked = true
		i.note(name, MeasurePartial, "%s: %v", fmt.Sprintf(format, args...), err)
	}
	if cfg.OpenFiles > 0 {
		rlimit("open_files", unix.RLIMIT_NOFILE, cfg.OpenFiles)
		i.note("limits.open_files", MeasureOn, "%d", cfg.OpenFiles)
	}
	if cfg.FileSize > 0 {
		rlimit("file_size", unix.RLIMIT_FSIZE, cfg.FileSize)
		i.note("limits.file_size", MeasureOn, "%d bytes", cfg.FileSize)
	}
	if n := cfg.ProcessLimit; n > 0 {
		switch err := i.controller("pids"); {
		case err == nil:
			i.limits.Processes = n
			i.note("limits.processes", MeasureOn, "%d tasks", n)
		case a != nil && a.uid != 0:
			rlimit("processes", unix.RLIMIT_NPROC, n)
			partly("limits.processes", err, "%d tasks of all processes of user %s together", n, a.name)
		default:
			i.miss("limits.processes", whole, true, fmt.Errorf("it needs the cgroup controller \"pids\", or a user of its own that is not root: %w", err))
		}
	}
	if n := cfg.CPU; n > 0 {
		if err := i.controller("cpu"); err != nil {
			i.miss("limits.cpu", whole, true, err)
		} else {
			i.limits.CPU = n
			i.note("limits.cpu", MeasureOn, "%g processors", n)
		}
	}
	if n := cfg.MemoryLimit; n > 0 {
		// Last: the launcher needs some memory itself. Address space (RLIMIT_AS) would count what Go and V8 reserve and never use.
		rlimit("memory", unix.RLIMIT_DATA, n)
		if err := i.controller("memory"); err != nil {
			partly("limits.memory", err, "%d bytes of private memory for each process, and not for all that it starts together", n)
		} else {
			i.limits.Memory = n
			i.note("limits.memory", MeasureOn, "%d bytes", n)
		}
	}
}

// system is what programs of Go, Python and Node need to read to run at all, when the paths to read are restricted. Secrets that other
// programs keep in /etc are not part of it.
var system = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage",
	"/dev/random", "/dev/urandom",
	"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/timezone", "/etc/locale.alias",
	"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/run/systemd/resolve",
	"/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/mime.types", "/etc/ssl/openssl.cnf", "/etc/ssl/certs", "/etc/ca-certificates",
	"/etc/pki", "/etc/python3", "/etc/python3.11",
}

// pathsOf are the paths that one process may use.
func (i *isolation) pathsOf(cfg *Config, program, runDir string) *launcher.Paths {
	if !i.landlock {
		return nil
	}
	l := cfg.Isolation.Landlock
	p := &launcher.Paths{Write: append([]string{runDir}, l.Write...)}
	if l.Read != nil {
		if !filepath.IsAbs(program) {
			program = filepath.Join(cfg.Dir, program)
		}
		p.Read = slices.Concat(system, []string{program}, l.Read)
	}
	return p
}

// isolation decides at the first start of a process what all of them get, and tells it.
func (s *Server) isolation(a *account) *isolation {
	s.isolating.Do(func() {
		tree, noTree := s.servers.cgroups()
		i := isolate(&s.cfg, a, tree, noTree)
		s.report(i)
		s.mu.Lock()
		s.iso = i
		s.mu.Unlock()
	})
	return s.iso
}

// ByState groups measures by their state, the states in the order of the constants: "on", "process (own process group …); seccomp (…)".
func ByState(measures []Measure) (lines [][2]string) {
	for _, state := range []string{MeasureOn, MeasurePartial, MeasureNotAvailable, MeasureOff} {
		var list []string
		for _, m := range measures {
			if m.State == state {
				list = append(list, strings.TrimSuffix(m.Name+" ("+m.Detail+")", " ()"))
			}
		}
		if list != nil {
			lines = append(lines, [2]string{state, strings.Join(list, "; ")})
		}
	}
	return lines
}

// report tells what the processes of a server get. What the settings ask for and the machine does not offer is a warning.
func (s *Server) report(i *isolation) {
	level, msg := slog.LevelInfo, "isolation of the plugin server"
	if i.asked || i.err != nil {
		level, msg = slog.LevelWarn, "isolation of the plugin server is not all that the settings ask for"
	}
	var attrs []any
	for _, line := range ByState(i.measures) {
		attrs = append(attrs, strings.ReplaceAll(line[0], " ", "_"), line[1])
	}
	s.logger.Log(context.Background(), level, msg, attrs...)
}
