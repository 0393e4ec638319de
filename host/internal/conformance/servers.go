package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Driver is a plugin server with drivers: its name, its command line, and the names of its plugins with those of their columns.
type Driver struct {
	Name    string
	Command []string
	Plugins map[string]string // column → plugin
	Typed   bool
}

// startServers starts the plugin servers of the drivers, as the host starts them.
func startServers(ctx context.Context, drivers []Driver, runDir string, logger *slog.Logger) (*pluginserver.Servers, error) {
	var configs []pluginserver.Config
	for _, d := range drivers {
		configs = append(configs, pluginserver.Config{Name: d.Name, Command: d.Command, StartTimeout: patience, DrainTimeout: patience})
	}
	node := vectors.Node{}
	servers, err := pluginserver.Start(ctx, configs, pluginserver.Options{RunDir: runDir, Hello: node.Hello(), Logger: logger})
	if err != nil && servers != nil {
		return nil, errors.Join(err, servers.Shutdown(ctx))
	}
	return servers, err
}

// remote is one driver on a plugin server, reached over one carrier.
type remote struct {
	column  string
	plugin  string
	carrier string
	isTyped bool
	server  *pluginserver.Server
	reports *reports
	fused   bool // vectors are the second step of a call
	asked   bool // answers travel with the call, once a first run has shown what a vector asks

	mu    sync.Mutex
	lanes map[string]*side // by the hello, as JSON
	runs  []*remoteRun
	idle  uint64 // see ahead
}

// remoteRun is a run whose log lines may still come.
type remoteRun struct {
	side     *side
	instance uint64
	run      *vectors.Run
}

// side is one lane, with the log lines that came over it.
type side struct {
	transport.Lane
	mu    sync.Mutex
	lines map[uint64][]vectors.Line // by instance
	heard chan struct{}             // cap 1: lines has grown
}

func (r *remote) name() string { return r.column + "/" + r.carrier }
func (r *remote) typed() bool  { return r.isTyped }

// lane gives the lane whose hello is that of the vector.
func (r *remote) lane(ctx context.Context, hello wire.HostHello) (*side, error) {
	hello.Features = wire.FeatureSteps | wire.FeaturePrefetch
	key, err := json.Marshal(hello)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.lanes[string(key)]; s != nil && !s.dead() {
		return s, nil // a dead one failed the vectors that were on it
	}
	s := &side{lines: map[uint64][]vectors.Line{}, heard: make(chan struct{}, 1)}
	if s.Lane, err = r.server.OpenLane(ctx, pluginserver.SideLane{Carrier: r.carrier, Hello: hello, OnLog: s.log}); err != nil {
		return nil, err
	}
	r.lanes[string(key)] = s
	return s, nil
}

func (s *side) dead() bool {
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

func (s *side) log(rec transport.LogRecord) {
	s.mu.Lock()
	s.lines[rec.Instance] = append(s.lines[rec.Instance], vectors.Line{Level: rec.Level, Message: rec.Message})
	s.mu.Unlock()
	select {
	case s.heard <- struct{}{}:
	default:
	}
}

// of are the lines of an instance.
func (s *side) of(instance uint64) []vectors.Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines[instance]
}

// instances counts the instances of all servers: an id is used once.
var instances atomic.Uint64

func (r *remote) run(ctx context.Context, v *vectors.Vector) (*vectors.Run, []error) {
	lane, err := r.lane(ctx, v.Node.Hello())
	if err != nil {
		return nil, []error{err}
	}
	if r.asked {
		return r.runAhead(ctx, lane, v)
	}
	return r.runOn(ctx, lane, v, v.Asker())
}

// runOn runs a vector over a lane, with an instance of its own and the answers that travel ahead of their questions.
func (r *remote) runOn(ctx context.Context, lane *side, v *vectors.Vector, asker *vectors.Asker, ahead ...wire.Prefetched) (*vectors.Run, []error) {
	call, err := v.Call()
	if err != nil {
		return nil, []error{err}
	}
	report := r.reports.expect()
	defer report.forget()
	id := instances.Add(1)
	in := pluginserver.Instance{ID: id, Plugin: r.plugin, Config: report.config(v), RecordID: v.RecordID(), InstanceName: "conformance"}
	if err := r.server.Configure(ctx, in); err != nil {
		return nil, []error{err}
	}
	defer r.server.Release(id)
	call.Instance, call.TimeoutMS = id, uint32(patience/time.Millisecond)
	call.Prefetched = ahead
	run := &vectors.Run{}
	diffs, err := r.send(ctx, lane, call, asker, &run.Outcome)
	if err != nil {
		return nil, append(diffs, fmt.Errorf("calling the plugin server: %w", err))
	}
	err = report.collect(ctx, v, run)
	r.mu.Lock()
	r.runs = append(r.runs, &remoteRun{lane, id, run})
	r.mu.Unlock()
	return run, append(append(diffs, asker.Diffs()...), errorList(err)...)
}

// farewell is a vector whose log line comes behind all others of its lane.
const farewell = `{"name": "farewell", "phase": "access", "calls": [{"fn": "log.emerg", "args": ["farewell"]}], "ops": [], "logs": [[7, "farewell"]]}`

// settle gathers the log lines of all runs.
func (r *remote) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last, err := vectors.Parse("settle", []byte(farewell))
	if err != nil {
		return err
	}
	for _, lane := range r.lanes {
		if lane.dead() {
			continue
		}
		if _, diffs := r.runOn(ctx, lane, last, last.Asker()); len(diffs) > 0 {
			return errors.Join(diffs...)
		}
		end := r.runs[len(r.runs)-1]
		for len(lane.of(end.instance)) == 0 {
			select {
			case <-lane.heard:
			case <-ctx.Done():
				return errors.New("the last log line of a lane did not come")
			}
		}
	}
	for _, run := range r.runs {
		run.run.Logs = run.side.of(run.instance)
	}
	return nil
}

func (r *remote) close() {
	for _, lane := range r.lanes {
		_ = lane.Close("closed", "the suite has ended")
	}
}
