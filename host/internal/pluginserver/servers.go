package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/cgroup"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/reaper"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
)

// defaultHealthInterval is the time between health checks.
const defaultHealthInterval = 5 * time.Second

// startSlack is how much longer than StartTimeout Start waits for a managed server whose first attempt is just being cleaned up.
const startSlack = 2 * time.Second

// lastLines is how long Shutdown waits at least for a logger that has not taken all lines of handlers.
const lastLines = time.Second

// Servers are all plugin servers of a host.
type Servers struct {
	opts    Options
	runDir  string         // empty without managed servers
	reaper  *reaper.Reaper // nil without managed servers
	tree    *cgroup.Tree   // nil: no cgroups, and noTree says why
	noTree  error
	grouped atomic.Bool // a server is to have cgroups
	open    laneOpener
	hard    context.Context
	endHard context.CancelFunc
	stop    sync.Once
	backlog transport.Backlog // what handlers of all builds have logged and is still to be written

	mu      sync.Mutex        // taken before a server's mu
	list    []*Server         // the current builds, by name
	owners  map[string]string // name of the server by plugin name
	others  map[*Server]bool  // builds on trial and retired ones, until their processes have ended
	retired []*Server         // of others, the oldest first
	builds  map[string]int    // number of builds by name of the server
	ended   bool              // no build may begin any more

	lives atomic.Uint64 // number of the last life
}

// Start starts the managed servers and connects to the attached ones, all at once, and waits until each is ready or has failed for
// the first time; no longer than its StartTimeout.
//
// Servers that are not ready are listed in a *StartError beside a Servers that can be used: they are tried again in the background.
// A nil Servers means that the configuration or this machine does not allow to begin at all, or that ctx ended; nothing is left then.
func Start(ctx context.Context, configs []Config, opts Options) (*Servers, error) {
	return start(ctx, configs, opts, openLane)
}

func start(ctx context.Context, configs []Config, opts Options, open laneOpener) (*Servers, error) {
	ss, err := prepare(configs, opts, open)
	if err != nil {
		return nil, err
	}
	for _, s := range ss.list {
		s.start()
	}
	if err := ss.await(ctx); err != nil {
		ss.endHard() // nobody uses them yet: no reason to be gentle
		_ = ss.Shutdown(ctx)
		return nil, fmt.Errorf("start the plugin servers: %w", err)
	}
	failed := &StartError{}
	for _, s := range ss.Current() {
		if st := s.State(); !st.Ready {
			failed.Failed = append(failed.Failed, st)
		}
	}
	if len(failed.Failed) > 0 {
		return ss, failed
	}
	return ss, nil
}

// prepare checks the configurations and makes everything that is needed before the first process.
func prepare(configs []Config, opts Options, open laneOpener) (*Servers, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.HealthInterval <= 0 {
		opts.HealthInterval = defaultHealthInterval
	}
	ss := &Servers{opts: opts, open: open, owners: map[string]string{}, others: map[*Server]bool{}, builds: map[string]int{}}
	ss.hard, ss.endHard = context.WithCancel(context.Background())
	var errs []error
	var accounts []*account
	managedOnes := false
	for _, cfg := range configs {
		s, a, err := ss.build(cfg)
		if err == nil && ss.find(cfg.Name) != nil {
			err = fmt.Errorf("two plugin servers are named %q: names must be unique", cfg.Name)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		managedOnes = managedOnes || s.cfg.Managed()
		accounts = append(accounts, a)
		s.number, ss.builds[cfg.Name] = 1, 1
		ss.list = append(ss.list, s)
	}
	err := errors.Join(errs...)
	if err == nil && managedOnes {
		err = ss.openRunDir(accounts...)
	}
	if err != nil {
		_ = ss.closeRunDir()
		ss.endHard()
		return nil, err
	}
	slices.SortFunc(ss.list, byName)
	return ss, nil
}

// build makes a Server that has not been started, and the account that its processes run as.
func (ss *Servers) build(cfg Config) (*Server, *account, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	if !cfg.Managed() {
		s, err := ss.attach(cfg)
		return s, nil, err
	}
	a, err := lookupAccount(cfg.User)
	if err == nil {
		err = checkEnv(cfg.Env)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("plugin server %q: %w", cfg.Name, err)
	}
	if cfg.Isolation.Cgroup != IsolationOff {
		ss.grouped.Store(true)
	}
	s := newServer(cfg, ss, ss.open)
	for range cfg.Processes {
		s.addPeer(&managed{cfg: &s.cfg, account: a, server: s})
	}
	return s, a, nil
}

// openRunDir makes the run directory, unless it is there, starts the reaper that removes it if we cannot, and lets accounts reach it; nil
// accounts are the host's. ss.mu is held, or nobody else has ss yet.
func (ss *Servers) openRunDir(accounts ...*account) error {
	if ss.runDir != "" {
		return admit(ss.runDir, accounts...)
	}
	ss.openCgroups() // before the reaper: the host may have to move into a group of its own
	sealDescriptors()
	dir, err := makeRunDir(ss.opts.RunDir, accounts...)
	if err != nil {
		return err
	}
	if ss.reaper, err = reaper.Start(ss.opts.Reaper, ss.opts.Logger); err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	ss.runDir = dir
	ss.reaper.Dir(dir)
	if ss.tree != nil {
		ss.reaper.Cgroup(ss.tree.Path())
	}
	return nil
}

// openCgroups makes the place of the cgroups, if a server is to have one.
func (ss *Servers) openCgroups() {
	if ss.tree != nil {
		return // what came after it has failed before
	}
	if !ss.grouped.Load() {
		ss.noTree = errors.New("no plugin server was to have one when the gateway began to start them; restart it")
	} else if tree, err := cgroup.Open(); err != nil {
		ss.noTree = err
	} else {
		ss.tree = tree
	}
}

// cgroups is where the groups of processes are made, or why there are none.
func (ss *Servers) cgroups() (*cgroup.Tree, error) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.tree, ss.noTree
}

// await waits for the first result of every peer. It fails when ctx ends first.
func (ss *Servers) await(ctx context.Context) error {
	begin := time.Now()
	for _, s := range ss.Current() {
		if err := s.await(ctx, begin); err != nil {
			return err
		}
	}
	return nil
}

// await waits for the first result of every peer that was started at begin, no longer than a start may take.
func (s *Server) await(ctx context.Context, begin time.Time) error {
	most := s.cfg.StartTimeout
	if s.cfg.Managed() {
		most += startSlack
	}
	timer := time.NewTimer(time.Until(begin.Add(most)))
	defer timer.Stop()
	for _, p := range s.peers {
		select {
		case <-p.first:
		case <-timer.C:
			timer.Reset(0) // the other peers of the server have had the same time
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// claim checks that no other server hosts a plugin in list. The current build of a server, and one that becomes it, then hosts these
// plugins and no others.
func (ss *Servers) claim(s *Server, list []entity.Manifest, becomes bool) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.claimLocked(s, list, becomes || slices.Contains(ss.list, s))
}

func (ss *Servers) claimLocked(s *Server, list []entity.Manifest, take bool) error {
	for _, m := range list {
		if owner, owned := ss.owners[m.Name]; owned && owner != s.cfg.Name {
			names := [2]string{owner, s.cfg.Name}
			slices.Sort(names[:])
			return &DuplicatePluginError{Plugin: m.Name, Servers: names}
		}
	}
	if !take {
		return nil
	}
	maps.DeleteFunc(ss.owners, func(_, owner string) bool { return owner == s.cfg.Name })
	for _, m := range list {
		ss.owners[m.Name] = s.cfg.Name
	}
	return nil
}

// Current lists the current build of every server, by name.
func (ss *Servers) Current() []*Server {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return slices.Clone(ss.list)
}

// find returns the current build of a server; mu is held.
func (ss *Servers) find(name string) *Server {
	if i := slices.IndexFunc(ss.list, func(s *Server) bool { return s.cfg.Name == name }); i >= 0 {
		return ss.list[i]
	}
	return nil
}

// Server returns the current build of the server with that name, nil when there is none.
func (ss *Servers) Server(name string) *Server {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.find(name)
}

// RunDir is the directory of the sockets of managed servers; empty when there are none.
func (ss *Servers) RunDir() string {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.runDir
}

// Manifests lists the plugins of all servers that have ever answered, by name of the server, then in the server's order. Plugin names
// are unique: of two servers that host one name the second is not ready.
func (ss *Servers) Manifests() []entity.Manifest {
	var all []entity.Manifest
	for _, s := range ss.Current() {
		all = append(all, s.Manifests()...)
	}
	return all
}

// Manifests lists the plugins of the server in its own order; nil when it has never answered.
func (s *Server) Manifests() []entity.Manifest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifests
}

// Shutdown ends all servers at once, whatever build: calls in flight get DrainTimeout, then managed processes end and attached connections are closed,
// and the run directory is removed. When it returns, OnPluginLog has got what handlers had logged, unless it takes longer than DrainTimeout for it. When
// ctx ends first, processes are killed; Shutdown still waits until they are gone, and returns the cause. Later calls do nothing.
func (ss *Servers) Shutdown(ctx context.Context) error {
	var err error
	ss.stop.Do(func() {
		begin := time.Now()
		defer context.AfterFunc(ctx, ss.endHard)()
		ss.mu.Lock()
		ss.ended = true
		all := slices.AppendSeq(slices.Clone(ss.list), maps.Keys(ss.others))
		ss.mu.Unlock()
		var wg sync.WaitGroup
		for _, s := range all {
			wg.Go(func() { s.stop(ctx) })
		}
		wg.Wait()
		ss.written(begin, all)
		if ctx.Err() != nil {
			err = fmt.Errorf("stop the plugin servers: %w", context.Cause(ctx))
		}
		ss.endHard()
		err = errors.Join(err, ss.closeRunDir())
	})
	return err
}

// written waits until the last lines of handlers have been written: for what is left of the longest DrainTimeout since begin, and at least a moment. A
// logger whose reader hangs must not keep the host from ending.
func (ss *Servers) written(begin time.Time, all []*Server) {
	rest := lastLines
	for _, s := range all {
		rest = max(rest, time.Until(begin.Add(s.cfg.DrainTimeout)))
	}
	ctx, cancel := context.WithTimeout(ss.hard, rest)
	defer cancel()
	ss.backlog.Wait(ctx)
}

// closeRunDir removes the run directory, if there is one, and ends the reaper.
func (ss *Servers) closeRunDir() error {
	if ss.tree != nil {
		defer func() {
			if err := ss.tree.Close(); err != nil {
				ss.opts.Logger.Warn("cannot remove the cgroups of the plugin servers", "error", err)
			}
		}()
	}
	if ss.runDir == "" {
		return nil
	}
	err := os.RemoveAll(ss.runDir)
	ss.reaper.Close()
	if err != nil {
		return fmt.Errorf("remove the run directory: %w", err)
	}
	return nil
}
