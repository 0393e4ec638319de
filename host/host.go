// Package host is the gateway: it wires configuration, plugin servers, plans and the proxy together, and owns the order in which they
// start and end.
package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/echo"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/plugincache"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/host/internal/proxy"
	"github.com/outrigger-gateway/outrigger/host/internal/quarantine"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/host/internal/vault"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
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
}

// Host is a running gateway.
type Host struct {
	settings *config.Settings
	opts     Options
	logger   *slog.Logger
	node     *local.Node

	servers     *servers
	builder     *generation.Builder
	generations generation.Holder
	entities    *entity.Set // of the current generation, as they were read; guarded by reloading
	upstream    *upstream.Transport
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
	h := &Host{
		settings: settings, opts: o,
		logger:  telemetry.NewLogger(log, settings.LogFormat, telemetry.Level(settings.LogLevelNumber())),
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
		LogLevel: settings.LogLevelNumber(), MaxBody: settings.MaxBody, MaxShared: settings.MaxShared,
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
	set, err := h.load()
	if err != nil {
		return err
	}
	if err := h.startServers(ctx); err != nil {
		return err
	}
	if err := h.apply(ctx, set); err != nil {
		return err
	}
	h.warn(ctx)
	if err := h.startSight(ctx); err != nil {
		return err
	}
	h.startProxy()
	if err := h.listenStatus(); err != nil {
		return err
	}
	if err := h.listen(); err != nil {
		return err
	}
	if err := h.listenAdmin(); err != nil {
		return err
	}
	h.tasks.Go(h.watchServers)
	return nil
}

// Addresses are where requests are accepted, host:port.
func (h *Host) Addresses() []string { return h.addresses }

// EchoAddress is where the embedded echo upstream listens; empty when it is off.
func (h *Host) EchoAddress() string { return h.echoAddress }

// AdminAddress is where the Admin listener is, host:port or the path of a socket; empty when it is off.
func (h *Host) AdminAddress() string { return h.adminListen }

// Logger is the host's log.
func (h *Host) Logger() *slog.Logger { return h.logger }

// Reload reads the entities again. Any error keeps the current generation.
func (h *Host) Reload(ctx context.Context) error {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	ctx, cancel := h.untilStop(ctx)
	defer cancel()
	set, err := h.load()
	if err != nil {
		return err
	}
	if set.Blank && h.settings.DeclarativeConfig != "" {
		// Most likely a file that is being written: taking it would drop every route.
		return fmt.Errorf("config %s: found a file without content, expected at least _format_version: \"3.0\", which alone is an empty configuration", h.settings.DeclarativeConfig)
	}
	if err := h.apply(ctx, set); err != nil {
		return err
	}
	h.logger.Log(ctx, telemetry.LevelNotice, "configuration is live", "generation", h.generations.Current().Number, "hash", set.Hash,
		"services", len(set.Services), "routes", len(set.Routes), "consumers", len(set.Consumers), "plugins", len(set.Plugins))
	h.warn(ctx)
	return nil
}

// untilStop ends ctx when a shutdown begins, which does not wait for plugin servers that are slow to take a configuration.
func (h *Host) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-h.stop:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (h *Host) stopping() bool {
	select {
	case <-h.stop:
		return true
	default:
		return false
	}
}

// errStopping is why nothing new becomes live.
var errStopping = errors.New("the gateway is shutting down")

// closeTime is how long Shutdown waits for the Close methods of native plugins.
const closeTime = 10 * time.Second

// Shutdown accepts no more requests, waits for those in flight, at most drain_timeout, and ends everything. It may be called again.
func (h *Host) Shutdown(ctx context.Context) error {
	h.ending.Do(func() { close(h.stop) })
	h.tasks.Wait()
	defer h.canaries.Wait() // who follows one waits for the lock
	h.reloading.Lock()      // a reload under way ends first: nothing may become live behind the last generation
	defer h.reloading.Unlock()
	drain, cancel := context.WithTimeout(ctx, h.settings.DrainTimeout)
	defer cancel()
	var errs []error
	if h.admin != nil {
		errs = append(errs, wrap("stopping the Admin listener", h.admin.Shutdown(drain)))
		h.admin = nil
	}
	if h.http != nil {
		errs = append(errs, wrap("waiting for requests in flight", h.http.Shutdown(drain)))
		h.http = nil
	}
	if h.sight.status != nil { // not before the requests are answered: whoever asks hears that the gateway stops
		errs = append(errs, wrap("stopping the status listener", h.sight.status.Shutdown(drain)))
		h.sight.status = nil
	}
	if h.proxy != nil {
		h.proxy.Close()
		h.proxy = nil
	}
	if h.sight.tracer != nil {
		errs = append(errs, wrap("sending the last spans", h.sight.tracer.Shutdown(drain)))
	}
	if h.blackBox != nil {
		errs = append(errs, wrap("closing the black box", h.blackBox.Close(drain)))
		h.blackBox = nil
	}
	if h.canary != nil {
		h.endCanary(h.canary)
	}
	h.generations.Swap(nil)
	if h.builder != nil {
		closing, cancel := context.WithTimeout(ctx, closeTime)
		defer cancel()
		errs = append(errs, wrap("closing native plugins", h.builder.Closed(closing)))
	}
	if h.servers != nil {
		errs = append(errs, h.servers.all.Shutdown(ctx))
		h.servers = nil
	}
	if h.upstream != nil {
		h.upstream.Close()
		h.upstream = nil
	}
	if h.echo != nil {
		errs = append(errs, wrap("stopping the echo upstream", h.echo.Shutdown(drain)))
		h.echo = nil
	}
	return errors.Join(errs...)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// load reads the declarative file; without one the configuration is empty.
func (h *Host) load() (*entity.Set, error) {
	if h.settings.DeclarativeConfig == "" {
		return config.Empty(), nil
	}
	return config.Load(h.settings.DeclarativeConfig)
}

// apply compiles a set and makes it the current generation.
func (h *Host) apply(ctx context.Context, set *entity.Set) error {
	if h.stopping() {
		return errStopping
	}
	gen, err := h.compile(ctx, set, h.servers.builds())
	if err != nil {
		return err
	}
	h.entities = set
	h.generations.Swap(gen)
	h.recompileCanary(ctx, set)
	return nil
}

// compile makes a generation of a set that uses the given builds of the plugin servers. The set stays as it was read: what its plugin records
// lack is filled in by the schemas of these builds, and others may want something else.
func (h *Host) compile(ctx context.Context, set *entity.Set, servers generation.Servers) (*generation.Generation, error) {
	builder := h.builder.With(servers)
	set = set.WithOwnPlugins()
	catalog, err := builder.Catalog(set)
	if err != nil {
		return nil, err
	}
	if current := h.generations.Current(); current != nil {
		catalog = current.Known(catalog)
	}
	builder.Merge(set)
	if err := config.ResolvePlugins(set, catalog, h.vault); err != nil {
		return nil, err
	}
	return builder.Build(ctx, set, catalog)
}

// startServers starts the plugin servers. One that does not come up is tried again in the background, and its routes answer by fail mode.
func (h *Host) startServers(ctx context.Context) error {
	s := &servers{policies: map[string]generation.Policy{}, logger: h.logger, made: map[string]*made{}}
	var configs []pluginserver.Config
	for i := range h.settings.PluginServers {
		c := &h.settings.PluginServers[i]
		cfg, err := serverConfig(c, h.settings.DrainTimeout)
		if err != nil {
			return err
		}
		configs = append(configs, cfg)
		s.policies[c.Name] = policyOf(c)
		s.keep(c.Name, h.makeOf(c))
	}
	// The builder is there before the first server, which may log in the name of an instance at once.
	var err error
	if h.builder, err = h.newBuilder(); err != nil {
		return err
	}
	h.builder.OnCloseError(func(in *plan.Instance, err error) {
		h.logger.Error("a plugin did not close", "plugin", in.Record.Name, "record", in.Record.ID, "instance", in.ID, "error", err.Error())
	})
	all, err := pluginserver.Start(ctx, configs, pluginserver.Options{
		RunDir: h.settings.RunDir, Hello: h.hello(), Logger: h.logger, Reaper: h.opts.Reaper,
		OnPluginLog: h.serverLine, OnState: h.serverState, OnDeath: h.quarantine.Died, Budgets: h.builder.Budgets().Status, Bodies: h.bodies,
	})
	if all == nil {
		return err
	}
	if err != nil {
		h.logger.Error("plugin servers are not ready; they are tried again", "error", err.Error())
	}
	s.all = all
	h.servers = s
	return nil
}

func (h *Host) hello() wire.HostHello {
	hello := wire.HostHello{
		Version: wire.Version, NodeID: h.node.ID, Hostname: h.node.Hostname, GatewayVersion: Version,
		LogLevel: h.node.LogLevel, MaxBody: uint64(h.node.MaxBody), MaxShared: uint64(h.node.MaxShared),
		ClusterID: h.node.ClusterID, TelemetryLogs: h.node.TelemetryLogs,
	}
	for _, p := range h.node.Trusted {
		hello.TrustedCIDRs = append(hello.TrustedCIDRs, p.String())
	}
	return hello
}

func (h *Host) serverState(s pluginserver.State) {
	if s.Ready {
		h.logger.Info("plugin server is ready", "server", s.Server)
		select {
		case h.rebuild <- struct{}{}:
		default:
		}
		return
	}
	level := slog.LevelWarn
	if s.State == pluginserver.StateStopping {
		level = slog.LevelInfo
	}
	h.logger.Log(context.Background(), level, "plugin server is not ready", "server", s.Server, "state", s.State, "reason", s.Reason)
}

// watchServers builds the generation again when a server came up that the current one had to do without.
func (h *Host) watchServers() {
	for {
		select {
		case <-h.stop:
			return
		case <-h.rebuild:
		}
		gen := h.generations.Current()
		if gen == nil || !gen.Waiting() {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := h.Reload(ctx)
		cancel()
		if err != nil {
			h.logger.Error("the configuration cannot use a plugin server that came up", "error", err.Error())
		}
	}
}

// interceptors stand around the calls of plugin servers, in this order: metrics, tracing, black box, canary, budgets, quarantine.
func (h *Host) interceptors() []dispatch.Interceptor {
	list := h.sight.interceptors()
	if h.blackBox = h.newBlackBox(); h.blackBox != nil {
		list = append(list, h.blackBox)
	}
	list = append(list, &h.observer, dispatch.Budgets{}, h.quarantine)
	return list
}

func (h *Host) startProxy() {
	s := h.settings
	h.upstream = upstream.New(upstream.Options{
		IdlePerTarget: s.UpstreamKeepalivePoolSize, RequestsPerConn: s.UpstreamKeepaliveMaxRequests, IdleTimeout: s.UpstreamKeepaliveIdleTimeout,
	})
	h.cache = plugincache.New(s.PluginCacheSize)
	gateway := h.gateway()
	h.proxy = proxy.New(proxy.Options{
		Generations: &h.generations, Gateway: gateway,
		Dispatcher: &dispatch.Dispatcher{Node: h.node, Logger: h.logger, PluginLog: h.nativeLine, MaxInlineBody: wire.ChunkSize, Interceptors: h.interceptors(), Watchers: h.sight.watchers()},
		Upstream:   h.upstream, Logger: h.logger, Version: Version,
		TrustedIPs: s.TrustedIPs, RealIPHeader: s.RealIPHeader, RealIPRecursive: s.RealIPRecursive,
		ServerTokens: s.Headers.ServerTokens, LatencyTokens: s.Headers.LatencyTokens, RequestIDHeader: s.Headers.RequestID,
		UpstreamStatus: s.Headers.UpstreamStatus, HeadersUpstream: s.UpstreamRequestID, DebugHeader: s.AllowDebugHeader, PluginDebugHeader: s.PluginDebugHeader,
		ErrorDefaultType: s.ErrorDefaultType, MaxBody: s.MaxBody, Bodies: h.bodies, MaxRequestBody: s.ClientMaxBodySize,
		ServerTiming: s.ServerTiming, Observer: h.sight.metrics.Requests, Tracer: h.sight.tracer,
		LogQueue: s.LogQueueSize, LogWorkers: 4,
	})
	h.sight.source.Store(&source{h.servers, h.proxy, h.blackBox})
	gateway.Statistics = h.proxy.Statistics
	h.http = proxy.NewServer(h.proxy, proxy.ServerOptions{
		MaxHeaderBytes: s.MaxHeaderSize, ReadTimeout: max(s.ClientBodyTimeout, s.ClientHeaderTimeout, s.KeepaliveTimeout), WriteTimeout: s.SendTimeout,
	})
}

// listen opens the listeners. All are open before the first request is served.
func (h *Host) listen() error {
	if h.settings.EchoListen != "" {
		ln, err := net.Listen("tcp", h.settings.EchoListen)
		if err != nil {
			return fmt.Errorf("echo_listen: %w", err)
		}
		h.echo = echo.New()
		h.echoAddress = ln.Addr().String()
		h.echo.Serve(ln)
	}
	var lns []net.Listener
	for _, a := range h.settings.ProxyListen {
		ln, err := net.Listen("tcp", a)
		if err != nil {
			for _, open := range lns {
				_ = open.Close()
			}
			return fmt.Errorf("proxy_listen: %w", err)
		}
		lns = append(lns, ln)
		h.addresses = append(h.addresses, ln.Addr().String())
	}
	for _, ln := range lns {
		h.http.Serve(ln)
	}
	return nil
}

// listenAdmin opens the Admin listener.
func (h *Host) listenAdmin() error {
	if h.settings.AdminListen == "" {
		return nil
	}
	ln, err := admin.Listen(h.settings.AdminListen, h.logger)
	if err != nil {
		return fmt.Errorf("admin_listen: %w", err)
	}
	h.adminListen = ln.Addr().String()
	h.logger.Log(context.Background(), telemetry.LevelNotice, "the Admin listener is open", "address", h.adminListen)
	h.admin = admin.New(operator{h, h.servers}, h.logger)
	h.admin.Serve(ln)
	return nil
}

// Hints are lines for somebody who tries the examples: they are printed when the embedded echo upstream is on.
func (h *Host) Hints() []string {
	if h.echoAddress == "" || len(h.addresses) == 0 {
		return nil
	}
	base := "curl -i http://" + h.addresses[0]
	return []string{
		"echo upstream on " + h.echoAddress + "; try:",
		"  " + base + "/hello -H 'X-Name: you'",
		"  " + base + "/gate/go -H 'X-Deny: 1'      (also /gate/python, /gate/js)",
		"  " + base + "/key                          (401)",
		"  " + base + "/key -H 'apikey: example-key'",
		"  " + base + "/anything",
	}
}
