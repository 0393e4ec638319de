// Package vault leads from references to secrets: {vault://env/name} to the environment variable NAME (spec/gateway.md section 8.5). A Provider
// reads the secrets of one type of vault; a configuration gives vaults names and options; a Resolver keeps what was read for a while.
package vault

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jellydator/ttlcache/v3"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
)

const (
	most = 8 << 20     // bytes of references and secrets that are kept
	kept = time.Minute // after they were read, when their vault does not say how long
	// overhead is what a secret costs beside them, roughly, in bytes.
	overhead = 256
)

// Options of a vault, and behind ? of a reference, that say how long what was read is kept, in seconds.
const (
	optionTTL       = "ttl"           // a secret; 0: for ever
	optionNegative  = "neg_ttl"       // that there is none; 0: not at all
	optionResurrect = "resurrect_ttl" // beyond ttl, while the vault does not give the secret any more
)

// Provider reads the secrets of one type of vault. Many goroutines may use it at once.
type Provider interface {
	// Get returns the secret that a reference names, as a whole: the key of the reference is not its business. Options are those of the vault,
	// with those of the reference over them. An error shows no secret.
	Get(options map[string]string, ref pdk.Reference) (string, error)
}

// Resolver reads secrets and keeps them for a while. Many requests may use it at once.
type Resolver struct {
	providers map[string]Provider      // by type
	onFailure string                   // of references that name a type instead of a vault
	vaults    map[string]*entity.Vault // by prefix
	secrets   *ttlcache.Cache[string, entry]
}

// entry is what was read last.
type entry struct {
	secret string
	err    error     // why there is none
	fresh  time.Time // until then; zero: for ever
}

// New makes a resolver with the providers env, which reads the given environment in the form of os.Environ, and file.
func New(env []string) *Resolver {
	r := &Resolver{
		providers: map[string]Provider{"env": newEnvironment(env), "file": files{}},
		onFailure: entity.OnFailureReject,
		secrets: ttlcache.New(
			ttlcache.WithMaxCost(most, func(item ttlcache.CostItem[string, entry]) uint64 {
				return uint64(overhead + len(item.Key) + len(item.Value.secret)) // a plugin may write one reference in many ways, each of any length
			}),
			ttlcache.WithDisableTouchOnHit[string, entry](),
		),
	}
	return r
}

// Provide adds the provider of a type of vaults, before anybody uses the resolver.
func (r *Resolver) Provide(kind string, p Provider) { r.providers[kind] = p }

// With is the resolver with other vaults and another policy for references that name a type; "" is reject_config. What was read is shared.
func (r *Resolver) With(vaults []*entity.Vault, onFailure string) *Resolver {
	own := &Resolver{
		providers: r.providers, onFailure: cmp.Or(onFailure, entity.OnFailureReject), vaults: make(map[string]*entity.Vault, len(vaults)), secrets: r.secrets,
	}
	for _, v := range vaults {
		own.vaults[v.Prefix] = v
	}
	return own
}

// IsReference reports whether a text is meant as a reference.
func (r *Resolver) IsReference(text string) bool { return local.IsReference(text) }

// OnFailure says what becomes of a record whose reference leads to no secret: one of the constants of package entity. A text that is no proper
// reference is always a mistake.
func (r *Resolver) OnFailure(reference string) string {
	ref, err := local.ParseReference(reference)
	if err != nil {
		return entity.OnFailureReject
	}
	if v := r.vaults[ref.Name]; v != nil {
		return v.OnFailure
	}
	if r.providers[ref.Name] == nil {
		return entity.OnFailureReject
	}
	return r.onFailure
}

// Get returns the secret that a reference leads to. Its errors show no secret.
func (r *Resolver) Get(reference string) (string, error) {
	ref, err := local.ParseReference(reference)
	if err != nil {
		return "", err
	}
	kind, options, err := r.find(ref)
	if err != nil {
		return "", err
	}
	key := place(kind, options, reference)
	item := r.secrets.Get(key)
	if item != nil {
		if e := item.Value(); e.fresh.IsZero() || time.Now().Before(e.fresh) {
			return e.secret, e.err
		}
	}
	secret, err := r.providers[kind].Get(options, ref)
	if err == nil && ref.Key != "" {
		secret, err = field(secret, ref.Key)
	}
	if err != nil {
		err = fmt.Errorf("vault %s: %w", ref.Name, err)
		if item != nil && item.Value().err == nil { // it is past its time, and better than nothing
			return item.Value().secret, nil
		}
		if d := seconds(options, optionNegative, 0); d > 0 {
			r.secrets.Set(key, entry{err: err, fresh: time.Now().Add(d)}, d)
		}
		return "", err
	}
	r.keep(key, secret, options)
	return secret, nil
}

// find leads from the name in a reference to the type of its vault and the options.
func (r *Resolver) find(ref pdk.Reference) (kind string, options map[string]string, err error) {
	if v := r.vaults[ref.Name]; v != nil {
		kind, options = v.Type, maps.Clone(v.Config)
	} else {
		kind = ref.Name
	}
	if r.providers[kind] == nil {
		names := slices.Sorted(maps.Keys(r.providers))
		names = append(slices.Sorted(maps.Keys(r.vaults)), names...)
		last := len(names) - 1
		return "", nil, fmt.Errorf("there is no vault %q; expected %s or %s", ref.Name, strings.Join(names[:last], ", "), names[last])
	}
	if options == nil {
		options = make(map[string]string, len(ref.Config))
	}
	for name, value := range ref.Config {
		if name != optionDirectory { // where files are is for the configuration to say, not for who may write a reference
			options[name] = value
		}
	}
	return kind, options, nil
}

// place is what a secret is kept under: the same text means another secret when its vault changes.
func place(kind string, options map[string]string, reference string) string {
	var b strings.Builder
	b.WriteString(kind)
	for _, name := range slices.Sorted(maps.Keys(options)) {
		b.WriteString("\x00" + name + "\x00" + options[name])
	}
	b.WriteString("\x00\x00" + reference)
	return b.String()
}

// keep keeps a secret as long as the options say.
func (r *Resolver) keep(key, secret string, options map[string]string) {
	e, life := entry{secret: secret}, ttlcache.NoTTL
	if d := seconds(options, optionTTL, kept); d > 0 {
		e.fresh, life = time.Now().Add(d), d+seconds(options, optionResurrect, 0)
	}
	r.secrets.Set(key, e, life)
}

// Update is a copy of a map in which every field that $refs gives a reference to holds the secret, as far as there is one.
func (r *Resolver) Update(options map[string]any) map[string]any {
	updated := maps.Clone(options)
	refs, _ := options["$refs"].(map[string]any)
	for name, ref := range refs {
		text, ok := ref.(string)
		if b, isBytes := ref.([]byte); isBytes {
			text, ok = string(b), true
		}
		if !ok {
			continue
		}
		if secret, err := r.Get(text); err == nil {
			updated[name] = secret
		}
	}
	return updated
}
