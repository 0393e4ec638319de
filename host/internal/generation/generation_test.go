package generation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// fakeServers is one plugin server, "py", with the plugins in manifests.
type fakeServers struct {
	mu        sync.Mutex
	manifests []entity.Manifest
	pending   map[string]string
	policy    Policy
	refuse    string // plugin whose configuration is refused
	live      []uint64
	code      map[uint64]string // the plugin that an instance was made of
}

func (s *fakeServers) Manifests() []entity.Manifest { return s.manifests }
func (s *fakeServers) Pending() map[string]string   { return s.pending }
func (s *fakeServers) Remote(string) plan.Remote    { return s }
func (s *fakeServers) Policy(string) Policy         { return s.policy }

func (s *fakeServers) Call(*wire.Call, time.Time, wire.Asker, *wire.Outcome) error {
	return errors.New("not in this test")
}

func (s *fakeServers) Configure(_ context.Context, _ string, id uint64, plugin string, r *entity.Plugin, _ []byte) error {
	if r.Name == s.refuse {
		return errors.New("refused")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = append(s.live, id)
	if s.code == nil {
		s.code = map[uint64]string{}
	}
	s.code[id] = plugin
	return nil
}

func (s *fakeServers) Release(_ string, ids ...uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = slices.DeleteFunc(s.live, func(id uint64) bool { return slices.Contains(ids, id) })
}

func manifest(name string, authenticates bool) entity.Manifest {
	return entity.Manifest{
		Name: name, Version: "1", Priority: 10, Phases: []string{"access"}, Server: "py", Authenticates: authenticates,
		Schema: []byte(`{"type":"object","properties":{"v":{"type":"integer","default":1}},"additionalProperties":false}`),
	}
}

func newTestBuilder(t *testing.T, s *fakeServers, native ...pdk.Plugin) *Builder {
	t.Helper()
	b, err := NewBuilder(native, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func build(b *Builder, plugins string) (*Generation, error) {
	return buildDocument(b, "services: [{name: s, url: \"http://h\", routes: [{name: r, paths: [/]}]}]\nplugins: ["+plugins+"]\n")
}

// buildDocument builds a whole document.
func buildDocument(b *Builder, document string) (*Generation, error) {
	set, err := config.Parse("gateway.yaml", []byte("_format_version: \"3.0\"\n"+document))
	if err != nil {
		return nil, err
	}
	return buildSet(b, set)
}

// buildSet builds what was read.
func buildSet(b *Builder, set *entity.Set) (*Generation, error) {
	catalog, err := b.Catalog(set)
	if err != nil {
		return nil, err
	}
	b.Merge(set)
	if err := config.ResolvePlugins(set, catalog, nil); err != nil {
		return nil, err
	}
	return b.Build(context.Background(), set, catalog)
}

func mustBuild(t *testing.T, b *Builder, plugins string) *Generation {
	t.Helper()
	g, err := build(b, plugins)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestUnchangedInstancesAreShared(t *testing.T) {
	s := &fakeServers{manifests: []entity.Manifest{manifest("a", false), manifest("b", false)}}
	b := newTestBuilder(t, s)
	var h Holder
	h.Swap(mustBuild(t, b, "{name: a}, {name: b, config: {v: 1}}"))
	first := h.Current().Plans.ForRoute(nil, false).Steps()
	held := h.Acquire() // a request that is still running
	h.Swap(mustBuild(t, b, "{name: a}, {name: b, config: {v: 2}}"))
	second := h.Current().Plans.ForRoute(nil, false).Steps()
	id := func(steps []*plan.Step, name string) uint64 {
		for _, st := range steps {
			if in := st.Instance; in.Record.Name == name {
				return in.ID
			}
		}
		return 0
	}
	if id(first, "a") != id(second, "a") {
		t.Error("an unchanged record got another instance")
	}
	if id(first, "b") == id(second, "b") {
		t.Error("a changed record kept its instance")
	}
	if len(s.live) != 3 {
		t.Errorf("instances %v while a request of the old generation runs, expected three", s.live)
	}
	held.Release()
	if want := []uint64{id(second, "a"), id(second, "b")}; len(s.live) != 2 || !slices.Contains(s.live, want[0]) || !slices.Contains(s.live, want[1]) {
		t.Errorf("instances %v after the last request, expected %v", s.live, want)
	}
	h.Swap(nil)
	if len(s.live) != 0 {
		t.Errorf("instances %v after the end", s.live)
	}
}

func TestAFailedBuildLeavesNothing(t *testing.T) {
	s := &fakeServers{manifests: []entity.Manifest{manifest("a", false), manifest("b", false)}, refuse: "b"}
	b := newTestBuilder(t, s)
	_, err := build(b, "{name: a}, {name: b}")
	if err == nil || !strings.Contains(err.Error(), `plugin "b" (global): refused`) || !strings.Contains(err.Error(), "gateway.yaml:3:") {
		t.Errorf("error %v, expected the place, the plugin and the reason", err)
	}
	if len(s.live) != 0 {
		t.Errorf("instances %v are left of a refused configuration", s.live)
	}
}

func TestUnknownPlugins(t *testing.T) {
	s := &fakeServers{pending: map[string]string{"py": "still starting"}}
	b := newTestBuilder(t, s)
	g := mustBuild(t, b, "{name: later}")
	in := g.Plans.ForRoute(nil, false).Steps()[0].Instance
	if !g.Waiting() || !strings.Contains(in.Unavailable, `server "py" (still starting)`) || !in.Phases.Has(pdk.PhaseAccess) {
		t.Errorf("stand-in: waiting %v, reason %q, phases %v", g.Waiting(), in.Unavailable, in.Phases)
	}
	// What follows may go on waiting for that plugin, and for no other one.
	catalog, err := b.Catalog(&entity.Set{Plugins: []*entity.Plugin{{Name: "later"}, {Name: "latest"}}})
	if err != nil {
		t.Fatal(err)
	}
	if known := g.Known(catalog); len(catalog) != 2 || len(known) != 1 || known[0].Name != "later" {
		t.Errorf("of the stand-ins %v those of %v are known, expected the one that is in use", catalog, known)
	}
	s.pending, s.manifests = nil, []entity.Manifest{manifest("later", false)}
	if g := mustBuild(t, b, "{name: later}"); g.Waiting() {
		t.Error("still waiting although the server is there")
	}
	if _, err := build(b, "{name: latr}"); err == nil || !strings.Contains(err.Error(), "later") {
		t.Errorf("error %v, expected one that suggests the nearest name", err)
	}
}

func TestFailModes(t *testing.T) {
	open := Policy{Server: entity.CallPolicy{FailMode: "open"}}
	s := &fakeServers{manifests: []entity.Manifest{manifest("plain", false), manifest("auth", true)}, policy: open}
	b := newTestBuilder(t, s)
	for _, c := range []struct {
		record string
		open   bool
	}{
		{"{name: plain}", true},
		{"{name: plain, fail_mode: closed}", false},
		{"{name: auth}", false},
		{"{name: auth, fail_mode: open, allow_fail_open: true}", true},
	} {
		if in := mustBuild(t, b, c.record).Plans.ForRoute(nil, false).Steps()[0].Instance; in.FailOpen != c.open {
			t.Errorf("%s on a server that is open: open %v, want %v", c.record, in.FailOpen, c.open)
		}
	}
	if _, err := build(b, "{name: auth, fail_mode: open}"); err == nil || !strings.Contains(err.Error(), "allow_fail_open") {
		t.Errorf("error %v, expected a refusal that names allow_fail_open", err)
	}
}

type closer struct {
	V      int `json:"v"`
	closed *atomic.Int32
	hold   chan struct{} // Close waits for it; nil: it does not
}

func (c *closer) Access(*pdk.PDK) error { return nil }
func (c *closer) Configure() error {
	if c.V == -3 {
		return nothings{}
	}
	if c.V < -1 {
		panic(fmt.Sprintf("no way: %d", c.V))
	}
	if c.V < 0 {
		return fmt.Errorf("v is %d", c.V)
	}
	return nil
}
func (c *closer) Close() error {
	c.closed.Add(1)
	if c.hold != nil {
		<-c.hold
	}
	switch c.V {
	case 1:
		return errors.New("cannot close")
	case 2:
		panic("in Close")
	}
	return nil
}

// nothings is an error of many that are none.
type nothings struct{}

func (nothings) Error() string   { return "nothing fits" }
func (nothings) Unwrap() []error { return nil }

func TestNativeInstances(t *testing.T) {
	var closed atomic.Int32
	b := newTestBuilder(t, &fakeServers{}, pdk.Plugin{Name: "n", Version: "1", New: func() any { return &closer{closed: &closed} }})
	if _, err := build(b, "{name: n, config: {v: -1}}"); err == nil || !strings.Contains(err.Error(), "v is -1") {
		t.Errorf("error %v, expected what Configure said", err)
	}
	if _, err := build(b, "{name: n, config: {v: -2}}"); err == nil || !strings.Contains(err.Error(), "no way: -2") {
		t.Errorf("error %v, expected the panic of Configure", err)
	}
	if g, err := build(b, "{name: n, config: {v: -3}}"); err == nil || !strings.Contains(err.Error(), "nothing fits") {
		t.Errorf("generation %v, error %v: a plugin that refuses without a fault is left out of the plans", g, err)
	}
	var h Holder
	h.Swap(mustBuild(t, b, "{name: n}"))
	h.Swap(nil)
	allClosed(t, b)
	if n := closed.Load(); n != 1 {
		t.Errorf("Close ran %d times, want once", n)
	}
	var mu sync.Mutex
	said := map[string]string{}
	b.OnCloseError(func(in *plan.Instance, err error) {
		mu.Lock()
		defer mu.Unlock()
		said[in.Record.Name] += err.Error() + "\n"
	})
	for _, v := range []string{"1", "2"} {
		h.Swap(mustBuild(t, b, "{name: n, config: {v: "+v+"}}"))
	}
	h.Swap(nil)
	allClosed(t, b)
	if n := closed.Load(); n != 3 || !strings.Contains(said["n"], "cannot close") || !strings.Contains(said["n"], "panicked: in Close") {
		t.Errorf("Close ran %d times, the errors are %q", n, said)
	}
}

// allClosed waits for the Close methods that were begun.
func allClosed(t *testing.T, b *Builder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := b.Closed(ctx); err != nil {
		t.Fatal(err)
	}
}

// The last request of a generation does not wait for the Close of its native plugins. Who ends the gateway does.
func TestCloseHasAGoroutineOfItsOwn(t *testing.T) {
	var closed atomic.Int32
	hold := make(chan struct{})
	b := newTestBuilder(t, &fakeServers{}, pdk.Plugin{Name: "n", Version: "1", New: func() any { return &closer{closed: &closed, hold: hold} }})
	var h Holder
	h.Swap(mustBuild(t, b, "{name: n}, {name: n, route: r}"))
	request := h.Acquire()
	h.Swap(nil)
	if err := b.Closed(t.Context()); err != nil || closed.Load() != 0 {
		t.Errorf("%d instances of a generation in use are closed: %v", closed.Load(), err)
	}
	request.Release() // returns while both hold on
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Closed(over); err == nil || !strings.Contains(err.Error(), "2 instances have not closed") {
		t.Errorf("error %v, expected one that counts the instances", err)
	}
	close(hold)
	allClosed(t, b)
	if n := closed.Load(); n != 2 {
		t.Errorf("Close ran %d times, want twice", n)
	}
}

func TestNamesClash(t *testing.T) {
	s := &fakeServers{manifests: []entity.Manifest{manifest("n", false)}}
	var closed atomic.Int32
	b := newTestBuilder(t, s, pdk.Plugin{Name: "n", Version: "1", New: func() any { return &closer{closed: &closed} }})
	if _, err := build(b, ""); err == nil || !strings.Contains(err.Error(), `"py"`) {
		t.Errorf("error %v, expected one that names the server", err)
	}
}

func TestHolderUnderLoad(t *testing.T) {
	s := &fakeServers{manifests: []entity.Manifest{manifest("a", false)}}
	b := newTestBuilder(t, s)
	var h Holder
	h.Swap(mustBuild(t, b, "{name: a, config: {v: 0}}"))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				g := h.Acquire()
				id := g.Plans.ForRoute(nil, false).Steps()[0].Instance.ID
				s.mu.Lock()
				live := slices.Contains(s.live, id)
				s.mu.Unlock()
				if !live {
					t.Error("a held generation has lost its instance")
				}
				g.Release()
			}
		})
	}
	for i := range 200 {
		h.Swap(mustBuild(t, b, fmt.Sprintf("{name: a, config: {v: %d}}", i+1)))
	}
	close(stop)
	wg.Wait()
	h.Swap(nil)
	if len(s.live) != 0 {
		t.Errorf("instances %v are left", s.live)
	}
}
