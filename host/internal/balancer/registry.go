package balancer

import (
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
)

// Options of a registry.
type Options struct {
	Resolver Resolver     // nil: that of the system
	Logger   *slog.Logger // nil: changes of health are not logged
	// Probe: active checks run. Somebody who only looks at a configuration has none.
	Probe bool
}

// Registry makes balancers. Generations that have the same upstream share one; an upstream that changed gets a new one, which takes over what is
// known of the places that both have.
type Registry struct {
	opts Options

	mu        sync.Mutex
	byContent map[string]*shared
	byID      map[string][]*shared // of one upstream; the last one is what the newest generation has, and is probed
	left      map[string]removed   // upstreams that no generation has
	probes    sync.WaitGroup
}

// shared is a balancer with the number of generations that use it.
type shared struct {
	*Balancer
	content string
	refs    int
	prober  *prober
}

// NewRegistry makes a registry.
func NewRegistry(o Options) *Registry {
	if o.Resolver == nil {
		o.Resolver = resolve.New(resolve.Options{})
	}
	return &Registry{opts: o, byContent: map[string]*shared{}, byID: map[string][]*shared{}, left: map[string]removed{}}
}

// Take finds or makes the balancer of an upstream. Each is given back once with Return.
func (r *Registry) Take(u *entity.Upstream) (*Balancer, error) {
	content, err := contentOf(u)
	if err != nil {
		return nil, err
	}
	return r.take(content, u), nil
}

func (r *Registry) take(content string, u *entity.Upstream) *Balancer {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, same := r.byContent[content], r.byID[u.ID]
	var before *shared // the newest one until now
	old := r.returns(u.ID, time.Now())
	if n := len(same); n > 0 {
		before = same[n-1]
		old = before.Balancer
	}
	if s == nil {
		s = &shared{content: content, Balancer: newBalancer(u, r.opts, old)}
		r.byContent[content] = s
	}
	if s.refs++; s == before {
		return s.Balancer
	}
	if before != nil { // s may be older than that: who went back to it means it from now on
		r.unprobe(before)
		same = slices.DeleteFunc(same, func(other *shared) bool { return other == s })
	}
	r.byID[u.ID] = append(same, s)
	r.probe(s)
	if old != nil && old.checked() && !s.checked() {
		s.heal()
	}
	return s.Balancer
}

// TakeName is Take for a service whose host is a name: its answers in DNS take turns.
func (r *Registry) TakeName(host string, port int) *Balancer {
	target := net.JoinHostPort(host, strconv.Itoa(port))
	content := "name " + target // as no hash begins
	return r.take(content, &entity.Upstream{ID: content, Name: host, Targets: []*entity.Target{{Target: target, Weight: 1}}})
}

// Return gives balancers back. The last one to do so ends them.
func (r *Registry) Return(list ...*Balancer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range list {
		same := r.byID[b.Upstream.ID]
		for i, s := range same {
			if s.Balancer != b {
				continue
			}
			if s.refs--; s.refs > 0 {
				break
			}
			delete(r.byContent, s.content)
			r.unprobe(s)
			s.kin.leave(s.Balancer)
			if same = append(same[:i], same[i+1:]...); len(same) == 0 {
				delete(r.byID, b.Upstream.ID)
				r.leaves(b, time.Now())
				break
			}
			r.byID[b.Upstream.ID] = same
			r.probe(same[len(same)-1])
			break
		}
	}
}

// probe makes the checks of a balancer those of its upstream, and starts them unless they run; mu is held.
func (r *Registry) probe(s *shared) {
	s.kin.unchecked.Store(!s.checked())
	if !r.opts.Probe || s.prober != nil {
		return
	}
	if s.prober = s.Balancer.probe(); s.prober != nil {
		r.probes.Go(s.prober.wait)
	}
}

func (r *Registry) unprobe(s *shared) {
	if s.prober != nil {
		s.prober.stop()
		s.prober = nil
	}
}

// Close ends all checks and waits for those under way. Balancers that are not given back yet can still be used.
func (r *Registry) Close() {
	r.mu.Lock()
	r.opts.Probe = false
	for _, s := range r.byContent {
		r.unprobe(s)
	}
	r.mu.Unlock()
	r.probes.Wait()
}

// contentOf is a hash of everything of an upstream that makes a difference here.
func contentOf(u *entity.Upstream) (string, error) {
	own := *u
	own.Pos, own.Tags, own.CreatedAt, own.UpdatedAt = entity.Pos{}, nil, 0, 0
	own.Targets = make([]*entity.Target, len(u.Targets))
	for i, t := range u.Targets {
		own.Targets[i] = &entity.Target{Target: t.Target, Weight: t.Weight}
	}
	text, err := json.Marshal(&own)
	sum := sha256.Sum256(text)
	return string(sum[:]), err
}
