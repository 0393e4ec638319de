package generation

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/prefetch"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/schema"
)

// Servers is what a builder needs of the plugin servers. A name means the same build of the server for the whole life of a value: instances
// are made there and released there, whatever is current meanwhile.
type Servers interface {
	// Manifests lists the plugins of all servers that have described themselves.
	Manifests() []entity.Manifest
	// Pending names the servers that never have, each with the reason.
	Pending() map[string]string
	// Remote is comparable: an equal value is the same build of the server. Instances are shared between generations that use the same build.
	Remote(server string) plan.Remote
	Policy(server string) Policy
	// Configure creates the instance in every process of the server. A server that is down takes it when it is back; only a refused
	// configuration is an error.
	//
	// Plugin is the one whose code runs, which is not the record's when that is of a clone.
	Configure(ctx context.Context, server string, id uint64, plugin string, record *entity.Plugin, config []byte) error
	Release(server string, ids ...uint64)
}

// Builder compiles configurations. Instances whose record did not change are shared between generations.
type Builder struct {
	servers   Servers
	native    map[string]pdk.Plugin
	manifests []entity.Manifest // of native plugins
	// Plan and Router are the options of plans and routers. Condition compiles the conditions of records; nil: records must not have any.
	Plan      plan.Options
	Router    router.Options
	Condition func(text string) (plan.Condition, error)
	// Balancers are shared by all generations, so that what is known of targets outlives a reload.
	Balancers *balancer.Registry
	*made
}

// made is what the builders of one host have made.
type made struct {
	number atomic.Uint64
	nextID atomic.Uint64

	budgets     budget.Registry
	closing     closing
	closeFailed func(in *plan.Instance, err error) // see OnCloseError

	mu        sync.Mutex
	instances map[instanceKey]*shared
	byID      map[uint64]*shared
}

// shared is an instance with the number of generations that use it. Each generation has a plan.Instance of its own, with the record as it is
// written there; the last one is kept here.
type shared struct {
	*plan.Instance
	key     instanceKey
	servers Servers // where it was made
	server  string
	refs    int
}

// instanceKey identifies what makes two records the same instance: the content, and the build of the server that has it.
type instanceKey struct {
	content [32]byte
	remote  plan.Remote
}

// With is a builder that uses other builds of the plugin servers. What both make is shared where it is the same.
func (b *Builder) With(servers Servers) *Builder {
	return &Builder{servers: servers, native: b.native, manifests: b.manifests, Plan: b.Plan, Router: b.Router, Condition: b.Condition, Balancers: b.Balancers, made: b.made}
}

// NewBuilder makes a builder for the given native plugins and servers.
func NewBuilder(native []pdk.Plugin, servers Servers) (*Builder, error) {
	b := &Builder{servers: servers, native: map[string]pdk.Plugin{}, Balancers: balancer.NewRegistry(balancer.Options{}), made: &made{instances: map[instanceKey]*shared{}, byID: map[uint64]*shared{}}}
	// Hosts that share an attached server must not choose the same ids: each counts from a place of its own, below 2^53 for JavaScript.
	b.nextID.Store(uint64(rand.Uint32()) << 20)
	for _, p := range native {
		if _, twice := b.native[p.Name]; twice {
			return nil, fmt.Errorf("native plugin %q is given twice", p.Name)
		}
		m, err := nativeManifest(p)
		if err != nil {
			return nil, fmt.Errorf("native plugin %q: %w", p.Name, err)
		}
		b.native[p.Name] = p
		b.manifests = append(b.manifests, m)
	}
	return b, nil
}

func nativeManifest(p pdk.Plugin) (entity.Manifest, error) {
	in := p.New()
	h, err := pdk.HandlersOf(in)
	if err != nil {
		return entity.Manifest{}, err
	}
	s, err := schema.Of(in)
	if err != nil {
		return entity.Manifest{}, err
	}
	return entity.Manifest{
		Name: p.Name, Version: p.Version, Priority: p.Priority, Phases: h.Phases().Names(), Schema: s,
		Authenticates: p.Authenticates, Needs: p.Needs.Names(),
	}, nil
}

// Catalog lists every plugin that a set may use now: native ones, those of plugin servers, and stand-ins for unknown plugins while a server
// has never described itself. A plugin server cannot take the name of a native plugin.
func (b *Builder) Catalog(set *entity.Set) ([]entity.Manifest, error) {
	all := append([]entity.Manifest(nil), b.manifests...)
	for _, m := range b.servers.Manifests() {
		if _, clash := b.native[m.Name]; clash {
			return nil, fmt.Errorf("plugin server %q: plugin %q has the name of a native plugin: rename it", m.Server, m.Name)
		}
		all = append(all, m)
	}
	for _, c := range set.ClonedPlugins {
		for i := range all {
			if m := &all[i]; m.Name == c.Ref && m.Ref == "" {
				all = append(all, m.Clone(c))
				break
			}
		}
	}
	return append(all, b.placeholders(set, all)...), nil
}

// Build compiles a set whose plugin records were checked against the catalog. On error nothing of it stays: the instances that it made are
// released.
func (b *Builder) Build(ctx context.Context, set *entity.Set, catalog []entity.Manifest) (_ *Generation, err error) {
	g := &Generation{Set: set, drained: b.drained, waiting: map[string]bool{}}
	defer func() {
		if err != nil {
			b.drained(g)
		}
	}()
	if g.Router, err = router.New(set.Routes, b.Router); err != nil {
		return nil, err
	}
	if err := g.describe(set); err != nil {
		return nil, err
	}
	byName := make(map[string]*entity.Manifest, len(catalog))
	for i := range catalog {
		byName[catalog[i].Name] = &catalog[i]
	}
	var steps []*plan.Instance
	var errs []error
	for _, r := range set.Plugins {
		m := byName[r.Name]
		condition, err := b.condition(r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !r.Enabled || r.Disables() {
			steps = append(steps, &plan.Instance{Record: r, Priority: m.Priority, Condition: condition})
			continue
		}
		in, own, err := b.instance(ctx, r, m)
		if err != nil {
			errs = append(errs, placed(r, err))
			continue
		}
		g.instances = append(g.instances, in)
		if own.Unavailable != "" && r.Unresolved == "" {
			g.waiting[r.Name] = true
		}
		own.Condition = condition
		steps = append(steps, own)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if g.Plans, err = plan.Compile(b.Plan, steps, set.Routes, set.Consumers); err != nil {
		return nil, err
	}
	if err := g.balance(set, b.Balancers); err != nil { // last: a configuration that is refused leaves the targets of the live one alone
		return nil, err
	}
	g.Number = b.number.Add(1)
	return g, nil
}

// placeholderServer marks the manifests of plugins that no server has described yet.
const placeholderServer = "?"

// Unknown names the plugins of a catalog of which nothing but the name is known.
func Unknown(catalog []entity.Manifest) map[string]bool {
	unknown := map[string]bool{}
	for _, m := range catalog {
		if m.Server == placeholderServer {
			unknown[m.Name] = true
		}
	}
	return unknown
}

// placeholders stands in for unknown plugins while a server has not described itself: its routes answer 503, they are never open. When every
// server is known, an unknown plugin is an error.
func (b *Builder) placeholders(set *entity.Set, known []entity.Manifest) []entity.Manifest {
	if len(b.servers.Pending()) == 0 {
		return nil
	}
	have := map[string]bool{}
	for _, m := range known {
		have[m.Name] = true
	}
	var names []string
	for _, r := range set.Plugins {
		names = append(names, r.Name)
	}
	for _, c := range set.ClonedPlugins {
		names = append(names, c.Ref)
	}
	var out []entity.Manifest
	for _, name := range names {
		if !have[name] {
			have[name] = true
			out = append(out, entity.Manifest{
				Name: name, Priority: 1 << 30, Phases: []string{"access"}, Schema: []byte(`{"type":"object"}`),
				Server: placeholderServer, Authenticates: false,
			})
		}
	}
	return out
}

// condition compiles the condition of a record.
func (b *Builder) condition(r *entity.Plugin) (plan.Condition, error) {
	if r.Condition == "" {
		return nil, nil
	}
	err := errors.New("found a condition, expected none: this gateway was built without conditions")
	if b.Condition != nil {
		var c plan.Condition
		if c, err = b.Condition(r.Condition); err == nil {
			return c, nil
		}
	}
	pos := r.Pos
	if r.FieldAt != nil {
		pos = r.FieldAt("condition")
	}
	return nil, fmt.Errorf("config %s: %s: %w", pos, strings.TrimPrefix(r.Path+".condition", "."), err)
}

// instance finds or makes the instance of a record. The second one is that of the generation being built.
func (b *Builder) instance(ctx context.Context, r *entity.Plugin, m *entity.Manifest) (*shared, *plan.Instance, error) {
	if m.Server == "" {
		if err := nativePolicy(r); err != nil {
			return nil, nil, err
		}
	}
	cfg, err := json.Marshal(r.Effective())
	if err != nil {
		return nil, nil, err
	}
	k := b.key(r, m, cfg)
	b.mu.Lock()
	if in := b.instances[k]; in != nil {
		in.refs++
		own := *in.Instance
		own.Record, own.Priority = r, m.Priority
		in.Instance = &own
		b.mu.Unlock()
		return in, &own, nil
	}
	b.mu.Unlock()

	in := &shared{key: k, servers: b.servers, server: m.Server, refs: 1, Instance: b.newInstance(r, m, k)}
	switch {
	case r.Unresolved != "":
		in.Unavailable, in.Phases = r.Unresolved, pdk.PhaseAccess // where a request can still be refused
	case m.Server == "":
		err = makeNative(in.Instance, b.native[m.Code()], cfg)
	case m.Server == placeholderServer:
		in.Unavailable = fmt.Sprintf("no plugin server offers plugin %q yet; waiting for %s", r.Name, pendingText(b.servers.Pending()))
	default:
		err = b.servers.Configure(ctx, m.Server, in.ID, m.Code(), r, cfg)
	}
	if err != nil {
		b.releaseBudgets(in.Instance)
		return nil, nil, err
	}
	own := in.Instance
	b.mu.Lock()
	b.instances[k] = in
	b.byID[in.ID] = in
	b.mu.Unlock()
	return in, own, nil
}

// Instance finds a live instance by its id; nil when it is gone.
func (b *Builder) Instance(id uint64) *plan.Instance {
	b.mu.Lock()
	defer b.mu.Unlock()
	if in := b.byID[id]; in != nil {
		return in.Instance
	}
	return nil
}

func (b *Builder) newInstance(r *entity.Plugin, m *entity.Manifest, k instanceKey) *plan.Instance {
	var policy Policy
	if k.remote != nil {
		policy = b.servers.Policy(m.Server)
	}
	in := &plan.Instance{
		ID: b.nextID.Add(1), Record: r, Code: m.Ref, Priority: m.Priority, Authenticates: m.Authenticates,
		Remote: k.remote, Closed: new(atomic.Bool),
		Meters: new(atomic.Value),
	}
	if m.Server != placeholderServer {
		in.Server = m.Server
	}
	for _, p := range m.Phases {
		in.Phases |= pdk.PhaseByName(p)
	}
	for _, n := range m.Needs {
		in.Needs |= pdk.NeedByName(n)
	}
	plugin := policy.Plugins[m.Code()]
	applyPolicy(in, &policy.Server, &plugin, &r.CallPolicy)
	if m.Authenticates && !r.AllowFailOpen {
		in.FailOpen = false // what a server says never opens an authentication plugin
	}
	if in.Remote != nil {
		in.Fuser, _ = in.Remote.(plan.Fuser)
		if p, may := in.Remote.(plan.Prefetcher); may {
			in.Prefetcher, in.Prefetch = p, new(prefetch.Memory)
		}
		b.useBudgets(in, m, policy)
	}
	return in
}

// makeNative makes the instance of a native plugin. What the plugin's own code does is contained: a panic refuses the configuration, and its
// error is kept as text, so that nobody calls the plugin's code again by looking into it.
func makeNative(in *plan.Instance, p pdk.Plugin, cfg []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the plugin panicked: %v\n%s", v, debug.Stack())
		}
	}()
	value := p.New()
	if err := schema.Decode(value, cfg); err != nil {
		return err
	}
	h, err := pdk.HandlersOf(value)
	if err != nil {
		return err
	}
	if h.Configure != nil {
		if err := h.Configure(); err != nil {
			refused := &RefusedError{By: fmt.Sprintf("plugin %q", p.Name)}
			for _, f := range pdk.ConfigErrors(err) {
				refused.Faults = append(refused.Faults, Fault{f.Path, f.Message})
			}
			return refused
		}
	}
	in.Native = &h
	return nil
}

// drained lets the instances of a generation go that no other generation uses.
func (b *Builder) drained(g *Generation) {
	release := map[plan.Remote]*leaving{}
	var closing []*plan.Instance
	b.mu.Lock()
	for _, in := range g.instances {
		if in.refs--; in.refs > 0 {
			continue
		}
		delete(b.instances, in.key)
		delete(b.byID, in.ID)
		b.releaseBudgets(in.Instance)
		if in.Remote != nil {
			if release[in.Remote] == nil {
				release[in.Remote] = &leaving{servers: in.servers, server: in.server}
			}
			release[in.Remote].ids = append(release[in.Remote].ids, in.ID)
		} else if in.Native != nil && in.Native.Close != nil {
			closing = append(closing, in.Instance)
		}
	}
	b.mu.Unlock()
	g.endBalancing()
	for _, l := range release {
		l.servers.Release(l.server, l.ids...)
	}
	for _, in := range closing {
		b.startClose(in)
	}
}

// leaving are the instances of one build of a server that are to be released.
type leaving struct {
	servers Servers
	server  string
	ids     []uint64
}

// key is over identity, plugin version, configuration and call policy. What only plans care about, such as priority and rules, is not part of
// it: an instance keeps its state when it is put elsewhere in the order.
func (b *Builder) key(r *entity.Plugin, m *entity.Manifest, cfg []byte) instanceKey {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s\x00%s\x00%#v\x00%t\x00", r.ID, r.Name, r.InstanceName, m.Version, m.Server, r.CallPolicy, r.AllowFailOpen)
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s\x00%t\x00", r.ScopeIDs(), m.Phases, m.Ref, m.Needs, m.Authenticates)
	for _, from := range r.Merged {
		fmt.Fprintf(h, "%s\x00", from.ID)
	}
	fmt.Fprintf(h, "%s\x00", r.Unresolved)
	h.Write(cfg)
	var k instanceKey
	h.Sum(k.content[:0])
	if m.Server != "" && m.Server != placeholderServer && r.Unresolved == "" {
		k.remote = b.servers.Remote(m.Server)
	}
	return k
}

func pendingText(pending map[string]string) string {
	s := ""
	for name, reason := range pending {
		if s != "" {
			s += ", "
		}
		s += fmt.Sprintf("server %q (%s)", name, reason)
	}
	return s
}
