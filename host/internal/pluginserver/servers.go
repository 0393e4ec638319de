package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/reaper"
)

// defaultHealthInterval is the time between health checks.
const defaultHealthInterval = 5 * time.Second

// startSlack is how much longer than StartTimeout Start waits for a managed server whose first attempt is just being cleaned up.
const startSlack = 2 * time.Second

// Servers are all plugin servers of a host.
type Servers struct {
	opts    Options
	list    []*Server // by name
	names   map[string]*Server
	runDir  string         // empty without managed servers
	reaper  *reaper.Reaper // nil without managed servers
	hard    context.Context
	endHard context.CancelFunc
	stop    sync.Once

	mu     sync.Mutex
	owners map[string]*Server // by plugin name
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
		s.start(ss.hard)
	}
	if err := ss.await(ctx); err != nil {
		ss.endHard() // nobody uses them yet: no reason to be gentle
		_ = ss.Shutdown(ctx)
		return nil, fmt.Errorf("start the plugin servers: %w", err)
	}
	failed := &StartError{}
	for _, s := range ss.list {
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
	opts.Backoff = opts.Backoff.withDefaults()
	ss := &Servers{opts: opts, names: map[string]*Server{}, owners: map[string]*Server{}}
	var errs []error
	accounts := map[string]*account{}
	managedOnes := false
	for _, cfg := range configs {
		cfg, err := cfg.withDefaults()
		if err == nil && cfg.Managed() {
			managedOnes = true
			if accounts[cfg.User], err = lookupAccount(cfg.User); err == nil {
				err = checkEnv(cfg.Env)
			}
			if err != nil {
				err = fmt.Errorf("plugin server %q: %w", cfg.Name, err)
			}
		}
		if err == nil && ss.names[cfg.Name] != nil {
			err = fmt.Errorf("two plugin servers are named %q: names must be unique", cfg.Name)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s := newServer(cfg, ss, open)
		ss.list = append(ss.list, s)
		ss.names[cfg.Name] = s
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	slices.SortFunc(ss.list, byName)
	if managedOnes {
		if err := ss.prepareRunDir(accounts); err != nil {
			return nil, err
		}
	}
	ss.hard, ss.endHard = context.WithCancel(context.Background())
	for _, s := range ss.list {
		if !s.cfg.Managed() {
			addr, _ := parseAddress(s.cfg.Address) // checked above
			s.addPeer(&attached{cfg: &s.cfg, addr: addr})
		}
		for range s.cfg.Processes {
			if s.cfg.Managed() {
				s.addPeer(&managed{cfg: &s.cfg, account: accounts[s.cfg.User], runDir: ss.runDir, reaper: ss.reaper, server: s})
			}
		}
	}
	return ss, nil
}

// prepareRunDir makes the run directory and starts the reaper that removes it if we cannot.
func (ss *Servers) prepareRunDir(accounts map[string]*account) error {
	sealDescriptors()
	dir, err := makeRunDir(ss.opts.RunDir)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if a != nil { // the account must reach its own directory inside; it still cannot list the others
			err = os.Chmod(dir, 0o711)
		}
	}
	if err == nil {
		ss.reaper, err = reaper.Start(ss.opts.Reaper, ss.opts.Logger)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	ss.runDir = dir
	ss.reaper.Dir(dir)
	return nil
}

// await waits for the first result of every peer. It fails when ctx ends first.
func (ss *Servers) await(ctx context.Context) error {
	begin := time.Now()
	for _, s := range ss.list {
		most := s.cfg.StartTimeout
		if s.cfg.Managed() {
			most += startSlack
		}
		timer := time.NewTimer(time.Until(begin.Add(most)))
		for _, p := range s.peers {
			select {
			case <-p.first:
			case <-timer.C:
				timer.Reset(0) // the other peers of the server have had the same time
			case <-ctx.Done():
				timer.Stop()
				return context.Cause(ctx)
			}
		}
		timer.Stop()
	}
	return nil
}

// claim makes s the owner of the plugins in list, and of no others. It fails when another server owns one of them.
func (ss *Servers) claim(s *Server, list []entity.Manifest) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, m := range list {
		if owner := ss.owners[m.Name]; owner != nil && owner != s {
			names := [2]string{owner.cfg.Name, s.cfg.Name}
			slices.Sort(names[:])
			return &DuplicatePluginError{Plugin: m.Name, Servers: names}
		}
	}
	for name, owner := range ss.owners {
		if owner == s {
			delete(ss.owners, name)
		}
	}
	for _, m := range list {
		ss.owners[m.Name] = s
	}
	return nil
}

// Server returns the server with that name, nil when there is none.
func (ss *Servers) Server(name string) *Server { return ss.names[name] }

// RunDir is the directory of the sockets of managed servers; empty when there are none.
func (ss *Servers) RunDir() string { return ss.runDir }

// Manifests lists the plugins of all servers that have ever answered, by name of the server, then in the server's order. Plugin names
// are unique: of two servers that host one name the second is not ready.
func (ss *Servers) Manifests() []entity.Manifest {
	var all []entity.Manifest
	for _, s := range ss.list {
		s.mu.Lock()
		all = append(all, s.manifests...)
		s.mu.Unlock()
	}
	return all
}

// Shutdown ends all servers at once: calls in flight get DrainTimeout, then managed processes end and attached connections are closed,
// and the run directory is removed. When ctx ends first, processes are killed; Shutdown still waits until they are gone, and returns
// the cause. Later calls do nothing.
func (ss *Servers) Shutdown(ctx context.Context) error {
	var err error
	ss.stop.Do(func() {
		defer context.AfterFunc(ctx, ss.endHard)()
		var wg sync.WaitGroup
		for _, s := range ss.list {
			wg.Go(func() { s.stop(ctx, ss.hard) })
		}
		wg.Wait()
		if ctx.Err() != nil {
			err = fmt.Errorf("stop the plugin servers: %w", context.Cause(ctx))
		}
		ss.endHard()
		if ss.runDir != "" {
			if rmErr := os.RemoveAll(ss.runDir); rmErr != nil {
				err = errors.Join(err, fmt.Errorf("remove the run directory: %w", rmErr))
			}
			ss.reaper.Close()
		}
	})
	return err
}
