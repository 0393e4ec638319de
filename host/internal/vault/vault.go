// Package vault leads from references to secrets: {vault://env/name} to the environment variable NAME (spec/gateway.md section 8.5).
package vault

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/jellydator/ttlcache/v3"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
)

const (
	most = 8 << 20     // bytes of references and secrets that are kept
	kept = time.Minute // after they were read
	// overhead is what a secret costs beside them, roughly, in bytes.
	overhead = 256
)

// backend reads a secret out of one vault, without regard to the key of the reference. Its errors show no secret.
type backend func(ref pdk.Reference) (string, error)

// Resolver reads secrets and keeps them for a while. Many requests may use it at once.
type Resolver struct {
	vaults  map[string]backend
	secrets *ttlcache.Cache[string, string] // by reference
}

// New makes a resolver whose vault env reads the given environment, which has the form of os.Environ.
func New(env []string) *Resolver {
	return &Resolver{
		vaults: map[string]backend{"env": environment(env)},
		secrets: ttlcache.New(
			ttlcache.WithMaxCost(most, func(item ttlcache.CostItem[string, string]) uint64 {
				return uint64(overhead + len(item.Key) + len(item.Value)) // a plugin may write one reference in many ways, each of any length
			}),
			ttlcache.WithTTL[string, string](kept), ttlcache.WithDisableTouchOnHit[string, string](),
		),
	}
}

// IsReference reports whether a text is meant as a reference.
func (r *Resolver) IsReference(text string) bool { return local.IsReference(text) }

// Get returns the secret that a reference leads to. Its errors show no secret. A secret that is not there is looked for again each time.
func (r *Resolver) Get(reference string) (string, error) {
	if item := r.secrets.Get(reference); item != nil {
		return item.Value(), nil
	}
	ref, err := local.ParseReference(reference)
	if err != nil {
		return "", err
	}
	read := r.vaults[ref.Name]
	if read == nil {
		return "", fmt.Errorf("there is no vault %q; expected env", ref.Name)
	}
	secret, err := read(ref)
	if err == nil && ref.Key != "" {
		secret, err = field(secret, ref.Key)
	}
	if err != nil {
		return "", fmt.Errorf("vault %s: %w", ref.Name, err)
	}
	r.secrets.Set(reference, secret, ttlcache.DefaultTTL)
	return secret, nil
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

// environment is the vault env. The option prefix stands in front of the name; version 2 is the variable with _PREVIOUS behind it.
func environment(env []string) backend {
	variables := make(map[string]string, len(env))
	for _, entry := range env {
		if name, value, ok := strings.Cut(entry, "="); ok {
			variables[name] = value
		}
	}
	return func(ref pdk.Reference) (string, error) {
		name := strings.ToUpper(strings.ReplaceAll(ref.Config["prefix"]+ref.Resource, "-", "_"))
		switch ref.Version {
		case 0, 1:
		case 2:
			name += "_PREVIOUS"
		default:
			return "", fmt.Errorf("found version %d; expected 1, or 2 for the one before", ref.Version)
		}
		value, ok := variables[name]
		if !ok {
			return "", fmt.Errorf("there is no environment variable %s", name)
		}
		return value, nil
	}
}

// field is one field of a secret that is a JSON object.
func field(secret, key string) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(secret), &fields); err != nil {
		return "", fmt.Errorf("the secret is not a JSON object, so that it has no key %q", key) // the decoder's words may show a part of it
	}
	raw, ok := fields[key]
	var text string
	switch {
	case !ok || string(raw) == "null":
		return "", fmt.Errorf("the secret has no key %q", key)
	case raw[0] == '{' || raw[0] == '[':
		return "", fmt.Errorf("the key %q of the secret is not a plain value", key)
	case json.Unmarshal(raw, &text) == nil:
		return text, nil
	}
	return string(raw), nil // a number, true or false
}
