// Package generation holds one immutable compiled configuration: router, plans, instances, entity documents. A request takes one generation
// and keeps it to its end, whatever is reloaded meanwhile.
package generation

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Generation is one compiled configuration.
type Generation struct {
	Number uint64
	Set    *entity.Set
	Router *router.Router
	Plans  *plan.Set

	routes    map[*entity.Route]*wire.Entity
	services  map[*entity.Service]*wire.Entity
	consumers map[string]*consumer // by id
	usernames map[string]*consumer
	keys      map[string]*key
	basics    map[string]*wire.Entity     // basic-auth credentials by user name
	others    map[otherKey]*wire.Entity   // further credentials
	acls      map[string]*wire.Entity     // the groups of a consumer, by its id
	upstreams map[string]*entity.Upstream // by name
	registry  *balancer.Registry          // of the balancers
	balancers map[*entity.Upstream]*balancer.Balancer
	named     map[*entity.Service]*balancer.Balancer // of services whose host is a name, without an upstream

	instances []*shared
	waiting   map[string]bool // names of plugins that no server has offered yet
	refs      atomic.Int64    // requests, plus one while it is the current generation
	gone      atomic.Bool     // drained was called
	drained   func(*Generation)
}

type consumer struct {
	entity *entity.Consumer
	doc    *wire.Entity
}

type key struct {
	credential *entity.KeyAuthCredential
	doc        *wire.Entity
}

// RouteDoc is the document of a route that travels to plugin servers.
func (g *Generation) RouteDoc(r *entity.Route) *wire.Entity { return g.routes[r] }

// ServiceDoc is the document of a service; nil for no service.
func (g *Generation) ServiceDoc(s *entity.Service) *wire.Entity { return g.services[s] }

// Consumer implements exchange.Directory.
func (g *Generation) Consumer(id string, byName bool) (*entity.Consumer, *wire.Entity) {
	c := g.consumers[id]
	if c == nil && byName {
		c = g.usernames[id]
	}
	if c == nil {
		return nil, nil
	}
	return c.entity, c.doc
}

// Credential implements exchange.Directory. Expired credentials are not found. For the kind acls, natural is the id of a consumer.
func (g *Generation) Credential(kind, natural string) (*wire.Entity, error) {
	switch kind {
	case "keyauth_credentials":
		k := g.keys[natural]
		if k == nil || k.expired() {
			return nil, nil
		}
		return k.doc, nil
	case "basicauth_credentials":
		return g.basics[natural], nil
	case "acls":
		return g.acls[natural], nil
	case "hmacauth_credentials", "jwt_secrets", "oauth2_credentials":
		return g.others[otherKey{kind, natural}], nil
	}
	return nil, fmt.Errorf("credential kind %q: expected keyauth_credentials, basicauth_credentials, hmacauth_credentials, jwt_secrets, oauth2_credentials or acls", kind)
}

func (k *key) expired() bool {
	ttl := k.credential.TTL
	return ttl > 0 && time.Now().Unix() >= k.credential.CreatedAt+int64(ttl)
}

// Upstream implements exchange.Directory.
func (g *Generation) Upstream(name string) *entity.Upstream { return g.upstreams[name] }

// Waiting reports whether a plugin is missing until its server comes up for the first time.
func (g *Generation) Waiting() bool { return len(g.waiting) > 0 }

// Known is a catalog for the generation that follows g: without the stand-ins that g does not have. At the first start a plugin that nobody has
// offered may come later; a reload that names one is more likely a mistake, and is refused.
func (g *Generation) Known(catalog []entity.Manifest) []entity.Manifest {
	known := make([]entity.Manifest, 0, len(catalog))
	for _, m := range catalog {
		if m.Server != placeholderServer || g.waiting[m.Name] {
			known = append(known, m)
		}
	}
	return known
}

// Release gives the generation back after a request. The last one of a replaced generation lets its instances go.
func (g *Generation) Release() {
	// A request that took a generation just when it was replaced counts from 0 to 1 and back: the instances go once all the same.
	if g.refs.Add(-1) == 0 && g.gone.CompareAndSwap(false, true) {
		g.drained(g)
	}
}

// Discard lets the instances of a generation go that never became current.
func (g *Generation) Discard() {
	if g.gone.CompareAndSwap(false, true) {
		g.drained(g)
	}
}

// Retain keeps the generation for something that outlives the request, such as its log phase. The caller must hold it already.
func (g *Generation) Retain() { g.refs.Add(1) }
