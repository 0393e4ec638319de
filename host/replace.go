package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// made is what the current build of a server was made of.
type made struct {
	// replacing is held from the start of a new build to its end, its promotion, or the begin of its canary.
	replacing sync.Mutex
	// last is how the last attempt to replace the build went; nil: there was none.
	last atomic.Pointer[pluginserver.Replacement]

	// Guarded by reloading.
	entry  config.PluginServer // as the settings had it
	digest string              // of the program; "": not known
}

// wanted is a replacement of the build of one server.
type wanted struct {
	server  string
	entry   *config.PluginServer // what the settings say now; nil: nothing else than before
	command []string             // nil: that of entry, else of the current build
	canary  *config.Canary       // nil: all requests at once
	trigger string               // admin, signal, dev
	// wait for a replacement of the server that is under way, and end its canary, instead of a *BusyError.
	wait bool
}

// UnknownServerError says that there is no plugin server with a name.
type UnknownServerError struct {
	Name  string
	Known []string
}

func (e *UnknownServerError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("there is no plugin server %q: the settings name none", e.Name)
	}
	return fmt.Sprintf("there is no plugin server %q; expected one of %s", e.Name, strings.Join(e.Known, ", "))
}

// BusyError says that something else has to end before a replacement can begin.
type BusyError struct{ Reason string }

func (e *BusyError) Error() string { return e.Reason }

// Replace starts a new build of a managed plugin server beside the old one, configures every instance on it, checks its health, and then
// makes it the one that new requests use, together with whatever its manifests change in the plans. Requests that have begun end on the old
// build, which ends after them; no request fails or sees both. Until then, and when anything goes wrong, nothing changes. command replaces the
// command of the settings from now on; nil keeps the one of the old build.
//
// The new build is given the entities that are live. When it refuses them and accepts what their file holds by now, that goes live with it: a
// plugin that changes its name or its schema, and the configuration that says so, need each other.
//
// Calls for one server run one after the other. When Replace fails, nothing of the new build is left.
func (h *Host) Replace(ctx context.Context, server string, command []string) error {
	_, err := h.replace(ctx, wanted{server: server, command: command, trigger: "dev", wait: true})
	return err
}

// replace is Replace with all its choices. The result is noted, whether it is an error or not.
func (h *Host) replace(ctx context.Context, w wanted) (pluginserver.Replacement, error) {
	h.reloading.Lock()
	servers := h.servers
	h.reloading.Unlock()
	if servers == nil {
		return pluginserver.Replacement{}, errors.New("the gateway is not running")
	}
	m := servers.madeOf(w.server)
	if m == nil {
		return pluginserver.Replacement{}, &UnknownServerError{w.server, servers.names()}
	}
	if w.wait {
		m.replacing.Lock()
	} else if !m.replacing.TryLock() {
		return pluginserver.Replacement{}, &BusyError{fmt.Sprintf("a replacement of plugin server %q is under way", w.server)}
	}
	defer m.replacing.Unlock()
	if err := h.makeWay(&w); err != nil {
		return pluginserver.Replacement{}, err
	}
	r := pluginserver.Replacement{Trigger: w.trigger}
	if err := h.build(ctx, servers, m, &w, &r); err != nil {
		r.At, r.Result, r.Reason = time.Now(), pluginserver.ResultFailed, err.Error()
		m.last.Store(&r)
		return r, err
	}
	return r, nil
}

// makeWay ends a canary that the replacement makes pointless, or says what is in the way.
func (h *Host) makeWay(w *wanted) error {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	c := h.canary
	switch {
	case h.stopping():
		return errStopping
	case c == nil:
		return nil
	case c.server == w.server && w.wait:
		h.rollBack(c, telemetry.LevelNotice, "another build is to take its place")
		return nil
	case c.server == w.server, w.canary != nil:
		return c.busy()
	}
	return nil
}

// build starts a new build and makes it the current one, or the canary, and notes that.
func (h *Host) build(ctx context.Context, servers *servers, m *made, w *wanted, r *pluginserver.Replacement) error {
	ctx, cancel := h.untilStop(ctx)
	defer cancel()
	p, cfg, err := h.plan(servers, m, w)
	if err != nil {
		return err
	}
	next, err := servers.all.Begin(ctx, cfg)
	if err != nil {
		return err
	}
	p.Server, r.Build = next, next.Number()
	kept := false
	defer func() {
		if !kept {
			next.Abandon()
		}
	}()

	h.reloading.Lock()
	defer h.reloading.Unlock()
	if h.stopping() {
		return errStopping
	}
	if c := h.canary; c != nil && w.canary != nil { // begun while this build started
		return c.busy()
	}
	set, gen, err := h.compileFor(ctx, p)
	if err != nil {
		return err
	}
	if err = next.Check(); err == nil && w.canary == nil {
		err = servers.all.Promote(next)
	} else if err == nil {
		err = next.Complete()
	}
	if err != nil {
		gen.Discard()
		return fmt.Errorf("the new build of plugin server %q cannot take requests: %w", w.server, next.Cause(err))
	}
	kept = true
	r.At, r.Result = time.Now(), pluginserver.ResultLive
	if w.canary != nil {
		r.Result = pluginserver.ResultCanary
	}
	m.last.Store(new(*r)) // before anybody can end the canary
	if w.canary != nil {
		h.beginCanary(p, *w.canary, w.trigger, set, gen)
		return nil
	}
	h.settle(p, set, gen)
	h.recompileCanary(ctx, nil)
	return nil
}

// planned is a new build with what becomes true of its server when it is promoted.
type planned struct {
	*pluginserver.Server
	made   *made
	entry  config.PluginServer
	digest string
	policy generation.Policy
	// fresh are the entities that their file held when the build was compiled, with its text, if those that were live did not fit it.
	fresh     *entity.Set
	freshText config.Source
}

// plan finds out what the new build is made of.
func (h *Host) plan(servers *servers, m *made, w *wanted) (*planned, pluginserver.Config, error) {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	current := servers.all.Server(w.server)
	if current == nil || servers.madeOf(w.server) != m { // it has just been removed
		return nil, pluginserver.Config{}, &UnknownServerError{w.server, servers.names()}
	}
	cfg := current.Config()
	p := &planned{made: m, entry: m.entry, policy: servers.policies[w.server]}
	if w.entry != nil {
		p.entry, p.policy = *w.entry, policyOf(w.entry)
		cfg = serverConfig(w.entry, h.settings.DrainTimeout)
	}
	if w.command != nil {
		cfg.Command = w.command
	}
	if cfg.Managed() {
		p.digest = h.digest(&p.entry, cfg.Command) // before the start: what changes from here on is noticed later
	}
	return p, cfg, nil
}

// compileFor makes a generation that uses a new build, of the live entities or of what their file holds by now; reloading is held.
func (h *Host) compileFor(ctx context.Context, p *planned) (*entity.Set, *generation.Generation, error) {
	set := h.entities
	gen, err := h.compile(ctx, set, h.servers.builds(p))
	if err == nil {
		return set, gen, nil
	}
	fresh, source, loadErr := h.loadText()
	if loadErr != nil || fresh.Hash == set.Hash {
		return nil, nil, err
	}
	if gen, loadErr = h.compile(ctx, fresh, h.servers.builds(p)); loadErr != nil {
		return nil, nil, err
	}
	p.fresh, p.freshText = fresh, source
	return fresh, gen, nil
}

// settle makes a generation with a promoted build the current one; reloading is held.
func (h *Host) settle(p *planned, set *entity.Set, gen *generation.Generation) {
	p.made.entry, p.made.digest = p.entry, p.digest
	h.servers.policies[p.Name()] = p.policy
	h.entities = set
	h.generations.Swap(gen)
	if set == p.fresh {
		h.origin.Store(h.originOf(fromFile))
		h.keepGood(set, p.freshText)
	}
	h.logger.Info("a new build of the plugin server is live", "server", p.Name(), "build", p.Number(), "generation", gen.Number)
}

// Serving says whether a plugin server takes calls.
func (h *Host) Serving(server string) bool {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	if h.servers == nil {
		return false
	}
	s := h.servers.all.Server(server)
	return s != nil && s.State().Ready
}

// Replace implements admin.Replacer: a new build of a server as the body of a request wants it.
func (o operator) Replace(server string, body []byte, private bool) (pluginserver.Replacement, error) {
	asked, err := config.ParseReplacement(body)
	if err != nil {
		return pluginserver.Replacement{}, &admin.Refusal{Status: http.StatusBadRequest, Err: err}
	}
	if asked.Command != nil && !private {
		return pluginserver.Replacement{}, &admin.Refusal{Status: http.StatusForbidden, Err: errCommandByTCP}
	}
	w := wanted{server: server, command: asked.Command, canary: asked.Canary, trigger: "admin"}
	if m := o.servers.madeOf(server); m != nil && asked.Settled {
		o.reloading.Lock()
		w.canary = m.entry.Canary
		o.reloading.Unlock()
	}
	done, err := o.replace(context.Background(), w)
	return done, refusal(err)
}

// errCommandByTCP keeps the users of this machine, and plugins in their sandboxes, from starting programs as the gateway's user.
var errCommandByTCP = errors.New("found a command on a TCP listener, which every user of this machine reaches; expected a unix socket (admin_listen: unix:///path), or the command in the settings and SIGHUP")

// Decide implements admin.Replacer.
func (o operator) Decide(server string, promote bool) (pluginserver.Replacement, error) {
	done, err := o.DecideCanary(server, promote)
	return done, refusal(err)
}

// refusal gives an error its status of an answer.
func refusal(err error) error {
	var unknown *UnknownServerError
	var busy *BusyError
	switch {
	case errors.As(err, &unknown):
		return &admin.Refusal{Status: http.StatusNotFound, Err: err}
	case errors.As(err, &busy):
		return &admin.Refusal{Status: http.StatusConflict, Err: err}
	case errors.Is(err, errStopping):
		return &admin.Refusal{Status: http.StatusServiceUnavailable, Err: err}
	}
	return err
}
