package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// idRoot is the namespace from which Kong derives the ids of declarative entities.
const idRoot = "fd02801f-0957-4a15-a55a-c8d9606f30b5"

// ids derives missing ids from content, so that the same document gives the same ids on every load. Entities with a natural key
// get the id that Kong gives them. For the others we seed with what makes them themselves, and count repetitions.
type ids struct {
	spaces map[string]uuid.UUID
	seeds  map[string]int
}

func newIDs() *ids { return &ids{spaces: map[string]uuid.UUID{}, seeds: map[string]int{}} }

func (x *ids) derive(collection, seed string) string {
	space, ok := x.spaces[collection]
	if !ok {
		space = uuid.NewSHA1(uuid.MustParse(idRoot), []byte(collection))
		x.spaces[collection] = space
	}
	return uuid.NewSHA1(space, []byte(seed)).String()
}

// repeated derives an id from a seed that several entities may have.
func (x *ids) repeated(collection, seed string) string {
	key := collection + ":" + seed
	x.seeds[key]++
	if n := x.seeds[key]; n > 1 {
		seed += "#" + strconv.Itoa(n)
	}
	return x.derive(collection, seed)
}

func (x *ids) service(s *entity.Service) {
	switch {
	case s.ID != "":
	case s.Name != "":
		s.ID = x.derive("services", s.Name)
	default:
		s.ID = x.repeated("services", fmt.Sprintf("services:*:%s://%s:%d%s", s.Protocol, s.Host, s.Port, s.Path))
	}
}

func (x *ids) route(r *entity.Route) {
	switch {
	case r.ID != "":
	case r.Name != "":
		r.ID = x.derive("routes", r.Name)
	default:
		service := ""
		if r.Service != nil {
			service = r.Service.ID
		}
		names := make([]string, 0, len(r.Headers))
		for name, values := range r.Headers {
			names = append(names, strings.ToLower(name)+"="+strings.Join(values, ","))
		}
		sort.Strings(names)
		r.ID = x.repeated("routes", strings.Join([]string{
			"routes:*", service, sorted(r.Protocols), sorted(r.Methods), strings.Join(r.Hosts, ","), strings.Join(r.Paths, ","),
			strings.Join(names, ";"), sorted(r.SNIs),
		}, ":"))
	}
}

func sorted(list []string) string { return strings.Join(slices.Sorted(slices.Values(list)), ",") }

func (x *ids) consumer(c *entity.Consumer) {
	switch {
	case c.ID != "":
	case c.Username != "":
		c.ID = x.derive("consumers", c.Username)
	default:
		c.ID = x.repeated("consumers", "consumers:*:custom_id:"+c.CustomID)
	}
}

func (x *ids) group(g *entity.ConsumerGroup) {
	if g.ID == "" {
		g.ID = x.repeated("consumer_groups", g.Name)
	}
}

func (x *ids) upstream(u *entity.Upstream) {
	if u.ID == "" {
		u.ID = x.repeated("upstreams", u.Name)
	}
}

func (x *ids) target(t *entity.Target, u *entity.Upstream) {
	if t.ID == "" {
		t.ID = x.derive("targets", "targets:*:"+u.ID+":"+t.Target)
	}
}

// keyAuth seeds with a hash of the key.
func (x *ids) keyAuth(k *entity.KeyAuthCredential) {
	if k.ID == "" {
		k.ID = x.repeated("keyauth_credentials", "keyauth_credentials:*:"+hashed(k.Key))
	}
	if k.TTL > 0 && k.CreatedAt == 0 {
		k.CreatedAt = time.Now().Unix() // it lives from the load on, as in Kong
	}
}

func (x *ids) basicAuth(c *entity.BasicAuthCredential) {
	if c.ID == "" {
		c.ID = x.repeated("basicauth_credentials", "basicauth_credentials:*:"+c.Username)
	}
}

func (x *ids) acl(a *entity.ACL) {
	if a.ID == "" {
		a.ID = x.derive("acls", "acls:*:"+a.Consumer.ID+":"+a.Group)
	}
}

func (x *ids) partial(p *entity.Partial) {
	if p.ID == "" {
		p.ID = x.repeated("partials", p.Name)
	}
}

func (x *ids) vault(v *entity.Vault) {
	if v.ID == "" {
		v.ID = x.repeated("vaults", "vaults:*:"+v.Prefix)
	}
}

// certificate seeds with a hash of the certificate, which Kong gives a random id; so do the others of this kind.
func (x *ids) certificate(c *entity.Certificate) {
	if c.ID == "" {
		c.ID = x.repeated("certificates", "certificates:*:"+hashed(c.Cert))
	}
}

func (x *ids) authority(c *entity.CACertificate) {
	if c.ID == "" {
		c.ID = x.repeated("ca_certificates", "ca_certificates:*:"+c.CertDigest)
	}
}

func (x *ids) sni(s *entity.SNI) {
	if s.ID == "" {
		s.ID = x.repeated("snis", s.Name)
	}
}

func (x *ids) keySet(s *entity.KeySet) {
	if s.ID == "" {
		s.ID = x.repeated("key_sets", s.Name)
	}
}

func (x *ids) cryptoKey(k *entity.Key) {
	switch {
	case k.ID != "":
	case k.Name != "":
		k.ID = x.derive("keys", k.Name)
	default:
		set := ""
		if k.Set != nil {
			set = k.Set.ID
		}
		k.ID = x.repeated("keys", "keys:*:"+set+":"+k.KID)
	}
}

func (x *ids) hmacAuth(c *entity.HMACAuthCredential) {
	if c.ID == "" {
		c.ID = x.repeated("hmacauth_credentials", "hmacauth_credentials:*:"+c.Username)
	}
}

func (x *ids) jwtSecret(c *entity.JWTSecret) {
	if c.ID == "" {
		c.ID = x.repeated("jwt_secrets", "jwt_secrets:*:"+hashed(c.Key))
	}
}

func (x *ids) oauth2(c *entity.OAuth2Credential) {
	if c.ID == "" {
		c.ID = x.repeated("oauth2_credentials", "oauth2_credentials:*:"+hashed(c.ClientID))
	}
}

// hashed stands for a text in a seed: an id is shown where the text must not be.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// plugin uses Kong's seed, with ids in the place of names; the group is only there when it is set, the instance when it is stacked.
func (x *ids) plugin(p *entity.Plugin) {
	if p.ID != "" {
		return
	}
	scope := p.ScopeIDs() // route, service, consumer, group
	seed := "plugins:*:" + p.Name + ":" + strings.Join(scope[:3], ":")
	if scope[3] != "" {
		seed += ":" + scope[3]
	}
	if p.Stack {
		seed += "#" + p.InstanceName
	}
	p.ID = x.derive("plugins", seed)
}
