// Package pluginserver keeps plugin servers running and carries phase calls to them.
//
// A plugin server is a process that hosts plugins. A managed one is started here, with hashicorp/go-plugin's rules (docs/wire.md
// section 9), watched, and replaced when it dies or hangs. An attached one already runs, at a unix socket or a TCP address; the
// connection is watched and made anew.
//
// Who does what:
//
//	Servers  all servers of a host: start, plugins found, replacement, state, shutdown
//	Server   one build of one configured server: its instances, and Call, which picks a lane
//	peer     one process of a server, through all its lives: start, restart, replacement of a worn process
//	breaker  how long a peer waits before its next start: back-off and crash loop
//	life     one life of a peer: control connection, lanes, health (deaf.go: whether somebody reads the lanes)
//	pulse    what calls leave behind about their life: how many, and whether any is answered
//
// Instances belong to the Server and outlive processes: a new process gets all of them before its lanes take calls, under the ids
// that the host chose and never uses again, so that no call can reach the configuration of another instance.
//
// A new build of a managed server is another Server beside the first (replace.go). Instances belong to one of the two: a request that
// has begun with the instances of the old build ends on its processes.
package pluginserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Carriers of the data plane.
const (
	CarrierMsgpack = "msgpack"
	CarrierGRPC    = "grpc"
)

// Default times and bounds of a Config that leaves them zero.
const (
	DefaultStartTimeout = 10 * time.Second
	DefaultDrainTimeout = 10 * time.Second
	DefaultMaxInFlight  = 4096
)

// Config describes one plugin server. Exactly one of Command and Addresses is set.
type Config struct {
	Name    string
	Command []string // managed: program and arguments; a relative program path is relative to Dir
	Dir     string   // managed: working directory; empty: the host's
	Env     map[string]string
	// Addresses are where an attached server runs: unix:///path or tcp://host:port, one for each of its processes. All host the same plugins.
	Addresses []string

	Carrier      string        // msgpack (default), grpc
	Processes    int           // managed: number of processes; 0 means 1
	StartTimeout time.Duration // from start, or connect, to ready; also bounds one Configure. 0 means 10 s
	DrainTimeout time.Duration // for calls in flight at shutdown; 0 means 10 s
	MaxInFlight  int           // calls in flight over all processes. 0 means 4096
	Queue        int           // calls beyond it that wait; more are refused at once

	MemoryLimit uint64 // managed: bytes of private writable memory of each process (RLIMIT_DATA), and of all that its cgroup uses; 0: none
	OpenFiles   uint64 // managed: file descriptors of each process (RLIMIT_NOFILE); 0: the host's
	User        string // managed: name or numeric id of the user to run as; empty: the host's

	ProcessLimit uint64    // managed: tasks of each process with all that it starts; 0: none
	FileSize     uint64    // managed: bytes of the largest file it can write (RLIMIT_FSIZE); 0: any
	CPU          float64   // managed: processors that each process with all that it starts may use; 0: all
	Isolation    Isolation // managed

	HealthInterval time.Duration // between health checks; 0 means that of the Options
	CrashLoop      CrashLoop     // managed
	Recycle        Recycle       // managed
	Fuse           bool          // calls of several steps travel together
	Prefetch       bool          // answers travel ahead of their questions
	Quarantine     bool          // calls are told of the life that they died with, and OnDeath of its end

	TLS    *TLS   // attached over TCP; required off loopback
	Socket Socket // attached over a unix socket: what it has to be like
}

// Managed says whether the host starts the server itself.
func (c *Config) Managed() bool { return len(c.Command) > 0 }

// Options are what all servers of one host share.
type Options struct {
	// RunDir is the directory in which the run directory is made; empty: $XDG_RUNTIME_DIR, else the directory for temporary files.
	RunDir string
	// Hello is said on every lane.
	Hello  wire.HostHello
	Logger *slog.Logger
	// OnPluginLog gets what handlers log, as transport.Options.OnLog does. Nil: dropped.
	OnPluginLog func(server string, rec transport.LogRecord)
	// Who is transport.Options.Who of all lanes.
	Who func(instance uint64) any
	// Budgets lists what the host keeps of limits of a build of a server, its plugins and their records; nil: nothing.
	Budgets func(build any, server string) []budget.Status
	// Bodies bounds the bodies of outcomes while they arrive, over all servers; nil: no bound but that of each call.
	Bodies *budget.Bytes
	// OnState is told when a server becomes ready and when it stops being ready. It is called without locks, in order per
	// server, and must not block. Nil: nobody is told.
	OnState func(State)
	// OnDeath is told that a process of a server with Quarantine has ended and nobody here had ended it; life is the Life of the
	// transport errors of its calls. It is called before the next process takes calls, and must not block. Nil: nobody is told.
	OnDeath func(life uint64)
	// OnNewPlugins is told that a process of a build came up with other plugins than the one before it, another version of them at least, and which
	// instances the build has. It is called before that process takes calls, and must not block. Nil: nobody is told.
	OnNewPlugins func(instances []uint64)
	// Reaper is the command line of the reaper process; nil: this binary with reaper.Arg.
	Reaper []string

	// Backoff bounds the waits between attempts; zero fields take the defaults of Backoff.
	Backoff Backoff
	// Ejection bounds the times for which an address that does not answer is left out; zero fields take defaults: 5 s to 5 min, back to the
	// first after ten minutes of service.
	Ejection Backoff
	// HealthInterval is the time between health checks; 0 means 5 s. Three failures in a row end a managed process, or the connection to an attached
	// server.
	HealthInterval time.Duration
	// HealthTime is how long a health check may take; 0: as long as the time between two.
	HealthTime time.Duration
}

// withDefaults fills the zero fields and checks c. The error names the server and the setting.
func (c Config) withDefaults() (Config, error) {
	bad := func(setting, format string, args ...any) (Config, error) {
		return c, fmt.Errorf("plugin server %q: %s: %s", c.Name, setting, fmt.Sprintf(format, args...))
	}
	if c.Carrier == "" {
		c.Carrier = CarrierMsgpack
	}
	if c.Processes == 0 {
		c.Processes = 1
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = DefaultStartTimeout
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = DefaultMaxInFlight
	}
	c.CrashLoop = c.CrashLoop.withDefaults()
	switch {
	case c.Name == "":
		return c, errors.New("plugin server without a name: name is required")
	case c.Managed() == (len(c.Addresses) > 0):
		return bad("command", "exactly one of command and address is required")
	case c.Carrier != CarrierMsgpack && c.Carrier != CarrierGRPC:
		return bad("carrier", "found %q, expected %q or %q", c.Carrier, CarrierMsgpack, CarrierGRPC)
	case c.Processes < 0:
		return bad("processes", "found %d, expected at least 1", c.Processes)
	case c.StartTimeout < 0 || c.DrainTimeout < 0:
		return bad("timeouts", "found %v and %v, expected positive durations", c.StartTimeout, c.DrainTimeout)
	case c.MaxInFlight < 0:
		return bad("max_in_flight", "found %d, expected at least 1", c.MaxInFlight)
	case c.Queue < 0:
		return bad("queue", "found %d, expected at least 0", c.Queue)
	}
	if c.Managed() {
		if c.Command[0] == "" {
			return bad("command", "the program is empty")
		}
		return c, nil
	}
	if c.Processes != 1 {
		return bad("processes", "found %d, but an attached server has a process for each address", c.Processes)
	}
	for i, text := range c.Addresses {
		addr, err := parseAddress(text)
		switch {
		case err != nil:
			return bad("address", "%v", err)
		case addr.network == "tcp" && c.TLS == nil && !addr.loopback():
			return bad("address", "%q is not on this machine: TCP off loopback needs TLS", text)
		case slices.Contains(c.Addresses[:i], text):
			return bad("address", "%q is there twice", text)
		}
	}
	return c, nil
}

// address is one of Config.Addresses, parsed.
type address struct {
	network string // unix, tcp
	addr    string // path, host:port
}

func (a address) String() string { return a.network + "://" + a.addr }

// parseAddress reads unix:///path and tcp://host:port.
func parseAddress(s string) (address, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case ok && scheme == "unix":
		if !filepath.IsAbs(rest) {
			return address{}, fmt.Errorf("found %q, expected an absolute path as in unix:///run/server.sock", s)
		}
		if len(rest) > maxSocketPath {
			return address{}, fmt.Errorf("the path %q has %d bytes, the system allows %d", rest, len(rest), maxSocketPath)
		}
		return address{"unix", filepath.Clean(rest)}, nil
	case ok && scheme == "tcp":
		host, port, err := net.SplitHostPort(rest)
		if err != nil || host == "" || port == "" {
			return address{}, fmt.Errorf("found %q, expected tcp://host:port", s)
		}
		return address{"tcp", rest}, nil
	}
	return address{}, fmt.Errorf("found %q, expected unix:///path or tcp://host:port", s)
}

// loopback says whether the address cannot leave this machine.
func (a address) loopback() bool {
	if a.network == "unix" {
		return true
	}
	return loopbackHost(a.host())
}

// host of a tcp address; empty for unix.
func (a address) host() string {
	if a.network != "tcp" {
		return ""
	}
	host, _, _ := net.SplitHostPort(a.addr)
	return host
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
