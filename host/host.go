// Package host is the gateway: it wires configuration, plugin servers, plans and the proxy together, and owns the order in which they
// start and end.
package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
	"github.com/outrigger-gateway/outrigger/host/internal/blackbox"
	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/canary"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/echo"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plugincache"
	"github.com/outrigger-gateway/outrigger/host/internal/proxy"
	"github.com/outrigger-gateway/outrigger/host/internal/quarantine"
	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/host/internal/vault"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
)

// Options of a host.
type Options struct {
	// SettingsFile, Env and Flags are the three sources of the settings; see config.LoadSettings.
	SettingsFile string
	Env          []string
	Flags        map[string]string
	// Change, if not nil, changes the settings after they were read. For programs of this module.
	Change func(*config.Settings)
	// Plugins are the native plugins.
	Plugins []pdk.Plugin
	// Reaper is the command line that runs the reaper of package pluginserver; nil: this binary with its hidden argument.
	Reaper []string
	// Log takes the log; nil: standard error.
	Log *os.File
	// Process is what the program does with its process; nil: a host opens all its sockets, and cannot be upgraded.
	Process Process
}

// Host is a running gateway.
type Host struct {
	settings *config.Settings
	opts     Options
	logger   *slog.Logger
	level    *logLevel // of logger
	node     *local.Node
	begun    time.Time

	servers     *servers
	builder     *generation.Builder
	generations generation.Holder
	origin      atomic.Pointer[string] // of the live entities: one of the from constants
	entities    *entity.Set            // of the current generation, as they were read; guarded by reloading
	upstream    *upstream.Transport
	resolver    *resolve.Resolver
	proxy       *proxy.Proxy
	http        *proxy.Server
	echo        *echo.Server
	admin       *admin.Server
	vault       *vault.Resolver
	cache       *plugincache.Store
	blackBox    *blackbox.Recorder // nil: off
	quarantine  *quarantine.Table

	bodies *budget.Bytes // that all requests keep in memory

	addresses   []string
	echoAddress string
	adminListen string
	sight       sight

	// reloading is held from reading the entities until they are live, so that what was read last wins.
	reloading sync.Mutex
	// refreshing is held while what runs is made what the files say.
	refreshing sync.Mutex
	// canary takes a share of the requests; nil: there is none. It is guarded by reloading; canaryNow is the same for displays.
	canary    *trial
	canaryNow atomic.Pointer[trial]
	observer  canary.Observer
	canaries  sync.WaitGroup
	// rebuild is signalled when a plugin server that nobody had seen before becomes ready.
	rebuild chan struct{}
	tasks   sync.WaitGroup
	stop    chan struct{}
	ending  sync.Once // closes stop
	// shutting is held by Shutdown.
	shutting sync.Mutex
}

// New reads the settings. Nothing is started.
func New(o Options) (*Host, error) {
	settings, err := config.LoadSettings(o.SettingsFile, o.Env, o.Flags)
	if err != nil {
		return nil, err
	}
	if o.Change != nil {
		o.Change(settings)
	}
	log := o.Log
	if log == nil {
		log = os.Stderr
	}
	level := newLogLevel(settings.LogLevelNumber())
	h := &Host{
		settings: settings, opts: o, begun: time.Now(), level: level,
		logger:  telemetry.NewLogger(log, settings.LogFormat, &level.lines),
		rebuild: make(chan struct{}, 1),
		stop:    make(chan struct{}),
		bodies:  budget.NewBytes(settings.MaxBodiesInMemory),
	}
	hostname, err := os.Hostname()
	if err != nil {
		h.logger.Warn("the host name is not known", "error", err.Error())
	}
	h.node = &local.Node{
		ID: cmp.Or(settings.NodeID, uuid.NewString()), Hostname: hostname, Trusted: settings.TrustedIPs,
		LogLevel: settings.LogLevelNumber(), LevelNow: &level.number, MaxBody: settings.MaxBody, MaxShared: settings.MaxShared,
		ClusterID: settings.ClusterID, Version: Version, TelemetryLogs: settings.TelemetryLogs,
	}
	h.vault = vault.New(o.Env)
	h.quarantine = newQuarantine(h.logger)
	return h, nil
}

// Start starts everything and returns when requests are accepted. When it fails, nothing is left running.
func (h *Host) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Shutdown(context.Background()))
		}
	}()
	if n := h.settings.WorkerThreads; n > 0 {
		runtime.GOMAXPROCS(n)
	}
	set, source, refused := h.loadText()
	if refused != nil && (!h.settings.StartWithLastGood || h.upgrades()) {
		return refused
	}
	if err := h.startServers(ctx); err != nil {
		return err
	}
	h.startBalancing()
	if err := h.first(ctx, set, source, refused); err != nil {
		return err
	}
	if err := h.needServers(); err != nil {
		return err
	}
	h.warn(ctx)
	if err := h.startSight(ctx); err != nil {
		return err
	}
	h.startProxy()
	if err := h.listen(); err != nil {
		return err
	}
	if err := h.listenStatus(); err != nil {
		return err
	}
	if err := h.listenAdmin(); err != nil {
		return err
	}
	h.tasks.Go(h.watchServers)
	h.tasks.Go(h.watchSecrets)
	return nil
}

// Logger is the host's log.
func (h *Host) Logger() *slog.Logger { return h.logger }

// closeTime is how long Shutdown waits for the Close methods of native plugins.
const closeTime = 10 * time.Second

// settled returns when a reload under way has ended. Nothing becomes live behind it. The lock is not kept: who waits for it, such as the Admin
// listener, is told then that it is too late.
func (h *Host) settled() {
	h.reloading.Lock()
	defer h.reloading.Unlock()
}

// endWatching writes and sends what is left to tell of the requests.
func (h *Host) endWatching(drain context.Context) error {
	h.level.stop()
	errs := []error{wrap("closing the access log", h.sight.closeAccessLog(drain))}
	if h.sight.tracer != nil {
		errs = append(errs, wrap("sending the last spans", h.sight.tracer.Shutdown(drain)))
	}
	if h.blackBox != nil {
		errs = append(errs, wrap("closing the black box", h.blackBox.Close(drain)))
		h.blackBox = nil
	}
	return errors.Join(errs...)
}

// endPlugins lets the instances of all generations go, and ends the plugin servers.
func (h *Host) endPlugins(ctx context.Context) error {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	var errs []error
	if h.canary != nil {
		h.endCanary(h.canary)
	}
	h.generations.Swap(nil)
	if h.builder != nil {
		closing, cancel := context.WithTimeout(ctx, closeTime)
		defer cancel()
		errs = append(errs, wrap("closing native plugins", h.builder.Closed(closing)))
		h.builder.Balancers.Close()
	}
	if h.servers != nil {
		errs = append(errs, h.servers.all.Shutdown(ctx))
		h.servers = nil
	}
	return errors.Join(errs...)
}

// endUpstreams closes the connections to upstreams, and ends the one of the examples. That one answers at once: what it still has when the time is up, as
// after plugins that were long in ending, are idle connections, or requests of the gateway that were cut and told as such.
func (h *Host) endUpstreams(drain context.Context) error {
	if h.upstream != nil {
		h.upstream.Close()
		h.upstream = nil
	}
	if h.echo == nil {
		return nil
	}
	err := h.echo.Shutdown(drain)
	h.echo = nil
	if errors.Is(err, drain.Err()) {
		return nil
	}
	return wrap("stopping the echo upstream", err)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
