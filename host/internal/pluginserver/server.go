package pluginserver

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
)

// Server is one build of a configured plugin server with all its processes. Its methods may be called at once from many goroutines.
type Server struct {
	cfg      Config
	number   int // of the build; set before start
	backoff  Backoff
	opts     *Options
	servers  *Servers
	logger   *slog.Logger
	openLane laneOpener
	soft     context.Context // ends when the server is to end in order
	endSoft  context.CancelFunc
	hard     context.Context // ends when the server is to end at once
	endHard  context.CancelFunc

	// What Call reads.
	lanes      atomic.Pointer[laneSet]       // nil: no lane takes calls
	notReady   atomic.Pointer[NotReadyError] // set before lanes becomes nil
	overloaded *transport.Error
	room       *budget.Limiter  // max_in_flight and queue
	waited     *transport.Error // refused after a wait in the queue
	draining   atomic.Bool
	idle       chan struct{} // cap 1: the last call left while draining
	freed      chan struct{} // cap 1: an exclusive lane became free, or the lanes changed

	fusedCalls, fusedSteps atomic.Uint64 // calls of several steps, and the steps of them that ran

	background sync.WaitGroup // what later started

	recycling chan struct{} // cap 1: holds a token while a process is being replaced

	mu        sync.Mutex
	peers     []*peer
	instances map[uint64]*Instance
	manifests []entity.Manifest // nil: never seen
	stopping  bool
	ready     bool
	role      role
	changes   []State // for tell

	ending sync.Once // runs stop

	isolating sync.Once
	iso       *isolation // managed: nil before the first start; guarded by mu

	telling *sync.Mutex // held while OnState runs, so that changes stay in order; taken before mu; the same for all builds of a server
}

// role is what a Server is to its host.
type role int

const (
	current role = iota // the build that new generations use; its processes are started again when they end
	trial               // a new build that no generation uses yet; one end of a process is the end of the trial
	retired             // an old build that requests in flight still use; what ends is not started again: it would be the new build
)

// laneOpener opens a lane of a life. Tests put their own in its place.
type laneOpener func(ctx context.Context, l *life, o transport.Options) (transport.Lane, error)

func newServer(cfg Config, ss *Servers, open laneOpener) *Server {
	s := &Server{
		cfg: cfg, opts: &ss.opts, servers: ss, openLane: open, backoff: ss.opts.Backoff.withDefaults(cfg.Managed()),
		logger:     ss.opts.Logger.With("server", cfg.Name),
		telling:    new(sync.Mutex),
		idle:       make(chan struct{}, 1),
		freed:      make(chan struct{}, 1),
		recycling:  make(chan struct{}, 1),
		instances:  map[uint64]*Instance{},
		room:       budget.NewLimiter(cfg.MaxInFlight, cfg.Queue),
		waited:     &transport.Error{Kind: transport.Overloaded, Msg: fmt.Sprintf("plugin server %q has %d calls in flight, its max_in_flight, and none ended before the deadline", cfg.Name, cfg.MaxInFlight)},
		overloaded: &transport.Error{Kind: transport.Overloaded, Msg: fmt.Sprintf("plugin server %q has %d calls in flight, its max_in_flight", cfg.Name, cfg.MaxInFlight)},
	}
	s.soft, s.endSoft = context.WithCancel(context.Background())
	s.hard, s.endHard = context.WithCancel(ss.hard)
	s.notReady.Store(&NotReadyError{Server: cfg.Name, State: StateStarting})
	return s
}

// Name of the server in the settings.
func (s *Server) Name() string { return s.cfg.Name }

// addPeer adds one process or connection; before start.
func (s *Server) addPeer(o opener) {
	s.peers = append(s.peers, &peer{
		server: s, number: len(s.peers), opener: o,
		breaker: breaker{CrashLoop: s.crashLoop(), waits: waits{Backoff: s.backoff}}, spaced: waits{Backoff: s.backoff},
		ejections: waits{Backoff: s.opts.Ejection.ejection()},
		done:      make(chan struct{}), first: make(chan struct{}), state: StateStarting, since: time.Now(),
	})
}

// crashLoop is the breaker's of one process. To connect is cheap: attached servers have none.
func (s *Server) crashLoop() CrashLoop {
	if s.cfg.Managed() {
		return s.cfg.CrashLoop
	}
	return CrashLoop{Deaths: -1}
}

// healthInterval is the time between health checks.
func (s *Server) healthInterval() time.Duration {
	return cmp.Or(s.cfg.HealthInterval, s.opts.HealthInterval)
}

// healthTime is how long a health check may take.
func (s *Server) healthTime() time.Duration {
	return cmp.Or(s.opts.HealthTime, s.healthInterval())
}

// takingCalls lists the lives that take calls; mu is held.
func (s *Server) takingCalls() []*life {
	var lives []*life
	for _, p := range s.peers {
		if p.life != nil && len(p.lanes) > 0 && p.out != StateDraining {
			lives = append(lives, p.life)
		}
	}
	return lives
}

// rebuild puts the lanes of all peers before the callers; mu is held.
func (s *Server) rebuild() {
	set := &laneSet{}
	if !s.stopping {
		set.lanes = s.inService()
	}
	set.exclusive = slices.ContainsFunc(set.lanes, func(l *lane) bool { return l.exclusive })
	set.features = ^uint32(0)
	for _, l := range set.lanes {
		set.features &= l.features
	}
	if len(set.lanes) > 0 {
		s.lanes.Store(set)
	} else {
		s.notReady.Store(&NotReadyError{Server: s.cfg.Name, State: s.state(), Reason: s.reason().Error()})
		s.lanes.Store(nil)
	}
	wake(s.freed)
	if ready := len(set.lanes) > 0; ready != s.ready {
		s.ready = ready
		s.change()
	}
}

// change notes the state for tell; mu is held. What becomes of the other builds of a server is no state of the server.
func (s *Server) change() {
	if s.role == current {
		s.changes = append(s.changes, s.current())
	}
}

// tell passes changes of the state on to OnState. No lock is held but telling.
func (s *Server) tell() {
	if s.opts.OnState == nil {
		return
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	s.mu.Lock()
	changes := s.changes
	s.changes = nil
	s.mu.Unlock()
	for _, c := range changes {
		s.opts.OnState(c)
	}
}

// learn checks and keeps the manifests of a process that has just been asked. A plugin of another server is refused; the current build
// of a server takes the names of its plugins, a new one when it is promoted.
func (s *Server) learn(list []entity.Manifest) error {
	if err := s.servers.claim(s, list, false); err != nil {
		return err
	}
	s.mu.Lock()
	changed := s.manifests != nil && !slices.EqualFunc(s.manifests, list, sameManifest)
	s.manifests = list
	instances := slices.Collect(maps.Keys(s.instances))
	s.mu.Unlock()
	if changed {
		if s.opts.OnNewPlugins != nil {
			s.opts.OnNewPlugins(instances)
		}
		s.logger.Warn("the plugins of the server are not what they were; a reload makes the host use what they say now")
	}
	return nil
}

func sameManifest(a, b entity.Manifest) bool {
	return a.Name == b.Name && a.Version == b.Version && a.Priority == b.Priority && slices.Equal(a.Phases, b.Phases) &&
		string(a.Schema) == string(b.Schema) && a.Authenticates == b.Authenticates && slices.Equal(a.Needs, b.Needs)
}

// onLog passes a handler's line on.
func (s *Server) onLog(rec transport.LogRecord) {
	if s.opts.OnPluginLog != nil {
		s.opts.OnPluginLog(s.cfg.Name, rec)
	}
}

// start runs the peers.
func (s *Server) start() {
	for _, p := range s.peers {
		go p.run(s.soft, s.hard)
	}
}

func (s *Server) isReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

func (s *Server) whatRole() role {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.role
}

// stop ends the server once: no new calls, wait for the running ones, end the processes. ctx bounds the first wait; s.hard everything.
func (s *Server) stop(ctx context.Context) { s.ending.Do(func() { s.end(ctx) }) }

func (s *Server) end(ctx context.Context) {
	defer s.endHard()
	s.mu.Lock()
	s.stopping = true
	s.rebuild()
	s.mu.Unlock()
	s.tell()
	s.draining.Store(true)
	timer := time.NewTimer(s.cfg.DrainTimeout)
	defer timer.Stop()
	for waiting := true; waiting && s.room.Usage().InFlight > 0; {
		select {
		case <-s.idle:
		case <-timer.C:
			waiting = false
		case <-ctx.Done():
			waiting = false
		case <-s.hard.Done():
			waiting = false
		}
	}
	s.endSoft()
	for _, p := range s.peers {
		<-p.done
	}
	s.background.Wait()
}
