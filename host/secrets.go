package host

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/vault"
)

// secretsEvery is how often the secrets of the live configuration are looked at. Those that their vault keeps are not read for it.
const secretsEvery = 10 * time.Second

// vaultOf reads secrets by the vaults of a set.
func (h *Host) vaultOf(set *entity.Set) *vault.Resolver {
	return h.vault.With(set.Vaults, h.settings.VaultOnFailure)
}

// liveVault reads secrets for plugins, by the vaults of the live configuration.
type liveVault struct {
	*Host
	last atomic.Pointer[vaultsOf]
}

// vaultsOf are the vaults of one configuration.
type vaultsOf struct {
	set   *entity.Set
	vault *vault.Resolver
}

func (l *liveVault) current() *vault.Resolver {
	gen := l.generations.Current()
	if gen == nil {
		return l.vault
	}
	if of := l.last.Load(); of != nil && of.set == gen.Set {
		return of.vault
	}
	of := &vaultsOf{gen.Set, l.vaultOf(gen.Set)}
	l.last.Store(of)
	return of.vault
}

// Get implements exchange.Vault.
func (l *liveVault) Get(reference string) (string, error) { return l.current().Get(reference) }

// Update implements exchange.Vault.
func (l *liveVault) Update(options map[string]any) map[string]any { return l.current().Update(options) }

// watchSecrets makes the configuration live again when a secret of it has changed, or one that was missing is there.
func (h *Host) watchSecrets() {
	ticker := time.NewTicker(secretsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-ticker.C:
			h.renewSecrets(context.Background())
		}
	}
}

// renewSecrets compiles the live entities again if their references lead to other secrets by now.
func (h *Host) renewSecrets(ctx context.Context) {
	gen := h.generations.AcquireCurrent()
	if gen == nil {
		return
	}
	changed := h.changedSecret(gen)
	gen.Release()
	if changed == "" || h.stopping() {
		return
	}
	h.logger.Info("a secret has changed, the configuration is made live again", "reference", changed)
	if err := h.completed(ctx); err != nil && !h.stopping() {
		h.logger.Error("the configuration with the changed secret is refused, the old secret stays", "reference", changed, "error", err.Error())
	}
}

// changedSecret is a reference of a generation that leads to another secret by now; "" is none. A secret that is gone counts as unchanged.
func (h *Host) changedSecret(gen *generation.Generation) string {
	v := h.vaultOf(gen.Set)
	for _, p := range gen.Set.Plugins {
		for reference, was := range p.References {
			if is, err := v.Get(reference); err == nil && is != was {
				return reference
			}
		}
		for reference := range p.Missing {
			if _, err := v.Get(reference); err == nil {
				return reference
			}
		}
	}
	return ""
}

// setWarnings tell of the fields of a configuration that are empty, and of the plugins that cannot run, for want of a secret, and of entities that
// nothing uses.
func setWarnings(set *entity.Set) []string {
	var warnings []string
	if unused := set.Unused(); len(unused) > 0 {
		warnings = append(warnings, "the configuration has "+strings.Join(unused, ", ")+", which are checked and which nothing in the gateway uses yet")
	}
	for _, p := range set.Plugins {
		for _, why := range p.Emptied {
			warnings = append(warnings, why+"; the field is empty")
		}
		if p.Unresolved != "" {
			warnings = append(warnings, p.Unresolved+"; requests that need the plugin are answered 503")
		}
	}
	return warnings
}
