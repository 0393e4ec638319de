package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/entitydiff"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/lastgood"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// Where the live entities came from.
const (
	fromNowhere  = "none" // there is no declarative_config
	fromFile     = "file"
	fromLastGood = "last_good" // declarative_config was refused at the start
)

// load reads the declarative file; without one the configuration is empty.
func (h *Host) load() (*entity.Set, error) {
	set, _, err := h.loadText()
	return set, err
}

// loadText is load, with the text that was read.
func (h *Host) loadText() (*entity.Set, config.Source, error) {
	if h.settings.DeclarativeConfig == "" {
		return config.Empty(), config.Source{}, nil
	}
	source, err := config.ReadSource(h.settings.DeclarativeConfig, h.opts.Env)
	if err != nil {
		return nil, source, err
	}
	set, _, err := source.Parse()
	if err == nil {
		err = refuseBlank(set, source.Name)
	}
	return set, source, err
}

// refuseBlank refuses a file without content: it is most likely being written, or was lost, and taking it would drop every route.
func refuseBlank(set *entity.Set, file string) error {
	if !set.Blank {
		return nil
	}
	return fmt.Errorf("config %s: found a file without content, expected at least _format_version: \"3.0\", which alone is an empty configuration", file)
}

// first makes the first configuration live: that of the file, or if it is refused and the settings say so, the last one that was good. At an upgrade it is
// that of the file, or none: the older process goes on, with what may be better than what was good once.
func (h *Host) first(ctx context.Context, set *entity.Set, source config.Source, err error) error {
	if err == nil {
		err = h.apply(ctx, set)
	}
	if err == nil {
		h.origin.Store(h.originOf(fromFile))
		h.keepGood(set, source)
		return nil
	}
	if !h.settings.StartWithLastGood || h.upgrades() || h.settings.StateDir == "" || h.settings.DeclarativeConfig == "" || ctx.Err() != nil {
		return err
	}
	kept, text, lost := lastgood.In(h.settings.StateDir).Find("")
	if lost != nil {
		h.logger.Error("there is no last good configuration to start with", "error", lost.Error())
		return err
	}
	for line := range strings.Lines(err.Error()) {
		h.logger.Error("the configuration is refused, the last good one takes its place", "error", strings.TrimSpace(line))
	}
	set, _, lost = config.Source{Name: kept.Path, Data: text, Env: h.opts.Env}.Parse()
	if lost == nil {
		lost = h.apply(ctx, set)
	}
	if lost != nil {
		for line := range strings.Lines(lost.Error()) {
			h.logger.Error("the last good configuration is refused too", "file", kept.Path, "error", strings.TrimSpace(line))
		}
		return err
	}
	h.origin.Store(h.originOf(fromLastGood))
	h.logger.Log(ctx, telemetry.LevelNotice, "the last good configuration is live", "hash", set.Hash, "file", kept.Path, "kept", kept.Time.Format(time.RFC3339))
	return nil
}

// originOf is where entities came from that are live from now on.
func (h *Host) originOf(origin string) *string {
	if h.settings.DeclarativeConfig == "" {
		origin = fromNowhere
	}
	return &origin
}

// keepGood keeps the text of a configuration that became live. That it cannot be kept is no reason not to serve it.
func (h *Host) keepGood(set *entity.Set, source config.Source) {
	if h.settings.StateDir == "" || source.Name == "" {
		return
	}
	if err := lastgood.In(h.settings.StateDir).Keep(set.Hash, source.Name, source.Data, time.Now()); err != nil {
		h.logger.Warn("the configuration is live, and not kept as the last good one", "hash", set.Hash, "error", err.Error())
	}
}

// lastGood is the newest configuration that is kept; nil: there is none.
func (h *Host) lastGood() *admin.LastGood {
	if h.settings.StateDir == "" {
		return nil
	}
	list, err := lastgood.In(h.settings.StateDir).List()
	if err != nil || len(list) == 0 {
		return nil
	}
	return &admin.LastGood{Hash: list[0].Hash, Kept: list[0].Time}
}

// DiffEntities implements admin.Gateway: it says what the entities of a document would change that are live.
func (o operator) DiffEntities(name string, document []byte, private bool) (*entitydiff.Diff, error) {
	if !private && config.HasExpressions(document) {
		return nil, &admin.Refusal{Status: http.StatusForbidden, Err: errEnvironmentByTCP}
	}
	set, _, err := config.Source{Name: name, Data: document, Env: o.opts.Env}.Parse()
	if err != nil {
		return nil, err
	}
	o.reloading.Lock()
	live := o.entities
	o.reloading.Unlock()
	if live == nil {
		return nil, errors.New("no configuration is live")
	}
	builder := o.builder.With(o.servers.builds())
	return entitydiff.Compare(withSecrets(builder, live), withSecrets(builder, set)), nil
}

// DiffEntities compares two declarative documents. What is secret in the configurations of plugins is known for those that are built in, and for those of
// the plugin servers in the settings, which are started and asked unless offline is true.
func (h *Host) DiffEntities(ctx context.Context, before, after config.Source, offline bool) (diff *entitydiff.Diff, err error) {
	defer func() { err = errors.Join(err, h.Shutdown(context.Background())) }()
	old, _, err := before.Parse()
	fresh, _, freshErr := after.Parse()
	if err := errors.Join(err, freshErr); err != nil {
		return nil, err
	}
	servers, err := h.examined(ctx, offline || len(h.settings.PluginServers) == 0)
	if err != nil {
		return nil, err
	}
	builder := h.builder.With(servers)
	return entitydiff.Compare(withSecrets(builder, old), withSecrets(builder, fresh)), nil
}

// errEnvironmentByTCP keeps the users of this machine, and plugins in their sandboxes, from asking for the environment of the gateway: a difference shows
// the values of fields.
var errEnvironmentByTCP = errors.New("found ${{ env … }} in a document on a TCP listener, which every user of this machine reaches; expected a unix socket (admin_listen: unix:///path), or two files")

// withSecrets is a copy of a set whose plugin records know which of their texts are secrets, as far as their schemas are known.
func withSecrets(builder *generation.Builder, set *entity.Set) *entity.Set {
	checked := set.WithOwnPlugins()
	own := set.WithOwnPlugins()
	if catalog, err := builder.Catalog(set); err == nil {
		_ = config.ResolvePlugins(checked, catalog, nil) // what is wrong with the document is not the question here
	}
	for i, p := range checked.Plugins {
		own.Plugins[i].Secrets, own.Plugins[i].SchemaKnown = p.Secrets, p.SchemaKnown
	}
	return own
}

// restorable says whether a text would be accepted in the place of the declarative file, as far as that can be told without the plugins.
func restorable(name string, text []byte, env []string) error {
	_, _, err := config.Source{Name: name, Data: text, Env: env}.Parse()
	return err
}

// Kept is one configuration that was live.
type Kept = lastgood.Entry

// KeptConfigurations lists the configurations in state_dir, the newest first.
func (h *Host) KeptConfigurations() ([]Kept, error) { return lastgood.In(h.settings.StateDir).List() }

// StateDir is the directory with the configurations that were live; empty when none are kept.
func (h *Host) StateDir() string { return h.settings.StateDir }

// DeclarativeConfig is the file of the entities; empty for none.
func (h *Host) DeclarativeConfig() string { return h.settings.DeclarativeConfig }

// Beside is what became of the text that a file held before a configuration was restored.
type Beside = lastgood.Beside

// Restore writes a configuration that was live to a file: the newest whose hash begins so, the newest of all for "". What the file held before is
// kept beside it.
func (h *Host) Restore(hash, file string) (kept Kept, before Beside, err error) {
	kept, text, err := lastgood.In(h.settings.StateDir).Find(hash)
	if err != nil {
		return kept, before, err
	}
	if err := restorable(kept.Path, text, h.opts.Env); err != nil {
		return kept, before, err
	}
	before, err = lastgood.Replace(file, kept, text)
	return kept, before, err
}
