// Package replay sends a recorded call of the black box to a plugin server once more and says what has become of its failure.
//
//	replay.go   a server, an instance, the call
//	output.go   what the server prints meanwhile
//	answers.go  the questions of the handler, answered from the recording
//	accept.go   what the gateway would say to the operations
//	report.go   what happened, compared with the recording
package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/blackbox"
	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Options of a replay.
type Options struct {
	Recording *blackbox.Recording
	Server    pluginserver.Config
	Version   string // of this program
	Config    []byte // JSON object that is laid over the recorded configuration; nil: none
	Bodies    [][]byte
	Phase     string        // instead of the recorded one; "": that
	Timeout   time.Duration // 0: the recorded one of a call that timed out, else 5 s
	RunDir    string
	Reaper    []string
	Logger    *slog.Logger // of the server's life and output
}

// Times of a replay.
const (
	usualTimeout = 5 * time.Second
	// endTime is what a server gets to end in order.
	endTime = 3 * time.Second
	// deathTime is how long to wait for the reason why a server died.
	deathTime = 3 * time.Second
)

// Run replays a recording. An error means that nothing was sent, or that what came back says nothing about the plugin.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	call, missing, err := o.Recording.Request()
	if err != nil {
		return nil, err
	}
	if o.Phase != "" {
		call.Phase = pdk.PhaseByName(o.Phase).Code()
	}
	config, lacking, err := configuration(o.Recording, o.Config)
	if err != nil {
		return nil, err
	}
	report = newReport(o.Recording, pdk.PhaseFromCode(call.Phase).String(), o.Server)
	report.lacks(lacking)
	answers := &answers{asks: o.Recording.Asks, used: make([]bool, len(o.Recording.Asks)), full: o.Recording.AsksLeftOut, report: report, bodies: o.Bodies}
	answers.fill(call, &o.Recording.Call, missing)

	run := &run{lines: map[uint64][]LogLine{}, died: make(chan pluginserver.State, 16)}
	servers, err := pluginserver.Start(ctx, []pluginserver.Config{o.Server}, pluginserver.Options{
		RunDir: o.RunDir, Reaper: o.Reaper, Logger: o.Logger, Hello: hello(o), OnPluginLog: run.log, OnState: run.state,
	})
	if servers == nil {
		return nil, err
	}
	ending := sync.OnceFunc(func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		_ = servers.Shutdown(last) // killed at the latest
	})
	defer ending()
	if err != nil {
		return nil, err
	}
	server := servers.Current()[0]
	manifest, err := find(server, o.Recording.Plugin.Name, pdk.PhaseFromCode(call.Phase).String())
	if err != nil {
		return nil, err
	}
	report.server(server, manifest)
	// Far from the ids of a gateway that uses the same attached server, and exact in every language.
	call.Instance = 1<<50 + rand.Uint64N(1<<50)
	in := pluginserver.Instance{
		ID: call.Instance, Plugin: manifest.Name, Config: config, RecordID: o.Recording.Plugin.Record, InstanceName: o.Recording.Plugin.InstanceName,
	}
	if err := server.Configure(ctx, in); err != nil {
		if len(lacking) > 0 {
			return nil, fmt.Errorf("%w\nThe recording leaves out the secrets %s: give them with --config", err, strings.Join(lacking, ", "))
		}
		return nil, err
	}
	run.call(o, server, call, answers, report)
	server.Release(call.Instance)
	ending() // the last lines of the handler have come then
	report.Logs = run.of(call.Instance)
	report.judge(call, manifest.Authenticates || o.Recording.Plugin.MayAuthenticate)
	return report, nil
}

// hello is that of the gateway as far as the recording knows it; every line of the handler is wanted.
func hello(o Options) wire.HostHello {
	name, _ := os.Hostname()
	return wire.HostHello{
		Version: wire.Version, NodeID: o.Recording.Gateway.Node, Hostname: name, GatewayVersion: o.Version, MaxBody: maxBody, MaxShared: maxShared,
	}
}

// find is the plugin of the recording on a server.
func find(server *pluginserver.Server, plugin, phase string) (entity.Manifest, error) {
	var names []string
	for _, m := range server.Manifests() {
		if m.Name == plugin {
			if !slices.Contains(m.Phases, phase) {
				return m, fmt.Errorf("plugin %q on plugin server %q does not handle the phase %s, only %s", plugin, server.Name(), phase, strings.Join(m.Phases, ", "))
			}
			return m, nil
		}
		names = append(names, m.Name)
	}
	return entity.Manifest{}, fmt.Errorf("plugin server %q does not host the plugin %q of the recording; it hosts %s", server.Name(), plugin, strings.Join(names, ", "))
}

// configuration is the recorded one with what the caller gives laid over it, and the places of secrets that are still left out.
func configuration(rec *blackbox.Recording, over []byte) (config []byte, lacking []string, err error) {
	var base, top map[string]any
	if err := json.Unmarshal(rec.Config, &base); err != nil {
		return nil, nil, fmt.Errorf("config of the recording: %w", err)
	}
	if over != nil {
		if err := json.Unmarshal(over, &top); err != nil {
			return nil, nil, fmt.Errorf("--config: expected a JSON object: %w", err)
		}
	}
	for _, place := range rec.Secrets {
		if !given(top, strings.Split(place, ".")) {
			lacking = append(lacking, place)
		}
	}
	merge(base, top)
	config, err = json.Marshal(base)
	return config, lacking, err
}

// given reports whether a configuration has something at a place. A list counts as a whole.
func given(config map[string]any, at []string) bool {
	v, ok := config[at[0]]
	m, isMap := v.(map[string]any)
	if !ok || len(at) == 1 || !isMap {
		return ok
	}
	return given(m, at[1:])
}

func merge(base, top map[string]any) {
	for k, v := range top {
		below, isMap := v.(map[string]any)
		into, isBase := base[k].(map[string]any)
		if isMap && isBase {
			merged := maps.Clone(into)
			merge(merged, below)
			v = merged
		}
		base[k] = v
	}
}

// run is what comes back while the call runs.
type run struct {
	mu    sync.Mutex
	lines map[uint64][]LogLine // by instance
	died  chan pluginserver.State
}

func (r *run) log(_ string, rec transport.LogRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines[rec.Instance] = append(r.lines[rec.Instance], LogLine{levels[min(int(rec.Level), len(levels)-1)], rec.Message})
}

var levels = []string{"debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"}

func (r *run) of(instance uint64) []LogLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines[instance]
}

func (r *run) state(s pluginserver.State) {
	if !s.Ready {
		select {
		case r.died <- s:
		default:
		}
	}
}

// call sends the call and fills the report.
func (r *run) call(o Options, server *pluginserver.Server, call *wire.Call, asker wire.Asker, report *Report) {
	timeout := o.Timeout
	if timeout == 0 {
		timeout = usualTimeout
		if o.Recording.Failure.Code == dispatch.Timeout.String() && call.TimeoutMS > 0 {
			timeout = time.Duration(call.TimeoutMS) * time.Millisecond
		}
	}
	call.TimeoutMS = uint32(timeout / time.Millisecond)
	var out wire.Outcome
	start := time.Now()
	err := server.Call(call, start.Add(timeout), asker, &out)
	report.DurationMS = float64(time.Since(start).Microseconds()) / 1000
	report.Outcome, report.ops = blackbox.OutcomeOf(&out), out.Ops
	switch {
	case err != nil:
		report.fail(dispatch.CodeOf(err).String(), err.Error(), "")
	case out.Err != nil:
		report.fail(dispatch.CodeOf(out.Err).String(), out.Err.Error(), out.Err.Detail)
	}
	var carried *transport.Error
	if errors.As(err, &carried) && carried.Kind == transport.Closed {
		select {
		case s := <-r.died:
			report.note("the plugin server: " + s.Reason)
		case <-time.After(deathTime):
		}
	}
}
