package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// reloadTime is how long the entities may take to become live.
const reloadTime = time.Minute

// Refresh makes what runs what the files say by now: it reads the plugin servers of the settings and the entities again. A plugin server that is
// new is started, one whose settings or program changed is replaced beside the old build, and one that is gone ends when nothing needs it any
// more. What did not change goes on as it is. Each server that cannot follow is logged and stays as it was; the error is that of the entities.
func (h *Host) Refresh(ctx context.Context) error {
	h.refreshing.Lock()
	defer h.refreshing.Unlock()
	h.reloading.Lock()
	r := refresh{h, h.servers}
	h.reloading.Unlock()
	if r.servers == nil {
		return errStopping
	}
	return r.run(ctx)
}

// refresh is one look at the files. Its servers are there until its end, also when the gateway ends meanwhile.
type refresh struct {
	*Host
	servers *servers
}

func (h refresh) run(ctx context.Context) error {
	settings, err := config.LoadSettings(h.opts.SettingsFile, h.opts.Env, h.opts.Flags)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			h.logger.Error("the settings are refused, the plugin servers stay as they are", "error", strings.TrimSpace(line))
		}
		return h.reloadWithin(ctx)
	}
	if h.opts.Change != nil {
		h.opts.Change(settings)
	}
	h.follow(settings)
	h.tellFixed(settings)
	h.addServers(ctx, settings.PluginServers)
	err = h.reloadWithin(ctx)
	if h.replaceChanged(ctx, settings.PluginServers) && err != nil {
		err = h.reloadWithin(ctx) // what a new build brings may be what was missing
	}
	h.removeServers(ctx, settings.PluginServers)
	h.logger.Info("the files are looked at", "settings", h.opts.SettingsFile, "config", h.settings.DeclarativeConfig)
	return err
}

func (h refresh) reloadWithin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	return h.Reload(ctx)
}

// tellFixed names the settings that changed and are read only at the start.
func (h refresh) tellFixed(settings *config.Settings) {
	was, is := h.settings.Map(), settings.Map()
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if name != "plugin_servers" && name != "log_level" && fmt.Sprint(was[name]) != fmt.Sprint(is[name]) {
			h.logger.Warn("the setting has changed and needs a restart", "setting", name, "live", was[name], "found", is[name])
		}
	}
}

// addServers starts the servers that the host does not have, all at once.
func (h refresh) addServers(ctx context.Context, list []config.PluginServer) {
	ctx, cancel := h.untilStop(ctx)
	defer cancel()
	type result struct {
		entry *config.PluginServer
		err   error
	}
	results := make(chan result)
	begun := 0
	for i := range list {
		if h.servers.madeOf(list[i].Name) == nil {
			begun++
			go func() { results <- result{&list[i], h.addServer(ctx, &list[i])} }()
		}
	}
	for range begun {
		if r := <-results; r.err != nil {
			h.logger.Error("the plugin server of the settings is not added; SIGHUP tries it again", "server", r.entry.Name, "error", r.err.Error())
		} else {
			h.logger.Info("the plugin server of the settings is added", "server", r.entry.Name)
		}
	}
}

func (h refresh) addServer(ctx context.Context, c *config.PluginServer) error {
	m := h.makeOf(c)
	h.reloading.Lock()
	h.servers.policies[c.Name] = policyOf(c) // before its plugins are there for a generation
	h.reloading.Unlock()
	if err := h.servers.all.Add(ctx, serverConfig(c, h.settings.DrainTimeout)); err != nil {
		h.reloading.Lock()
		defer h.reloading.Unlock()
		h.servers.forget(c.Name)
		return err
	}
	h.servers.keep(c.Name, m)
	return nil
}

// replaceChanged replaces the servers whose settings or program changed, those without a canary first, and says whether one was.
func (h refresh) replaceChanged(ctx context.Context, list []config.PluginServer) (replaced bool) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b config.PluginServer) int {
		switch {
		case (a.Canary == nil) == (b.Canary == nil):
			return 0
		case a.Canary == nil:
			return -1
		}
		return 1
	})
	for i := range list {
		c := &list[i]
		why, w := h.changed(c)
		if why == "" || h.stopping() {
			continue
		}
		if len(c.Command) == 0 || !h.managed(c.Name) {
			h.logger.Warn("the settings of the attached plugin server have changed and need a restart", "server", c.Name)
			continue
		}
		h.logger.Info("the plugin server is replaced", "server", c.Name, "because", why)
		if _, err := h.replace(ctx, w); err != nil {
			for line := range strings.Lines(err.Error()) {
				h.logger.Error("the plugin server is not replaced, the old build goes on serving", "server", c.Name, "error", strings.TrimSpace(line))
			}
			continue
		}
		replaced = true
	}
	return replaced
}

// changed says what is to replace the build of a server, and why; "": nothing is.
func (h refresh) changed(c *config.PluginServer) (why string, w wanted) {
	m := h.servers.madeOf(c.Name)
	if m == nil {
		return "", w
	}
	h.reloading.Lock()
	defer h.reloading.Unlock()
	entry, digest := &m.entry, &m.digest
	if t := h.canary; t != nil && t.server == c.Name { // what it was begun with counts
		entry, digest = &t.next.entry, &t.next.digest
	}
	w = wanted{server: c.Name, canary: c.Canary, trigger: "signal", wait: true}
	if !sameServer(*entry, *c) {
		w.entry = c
		return "its settings have changed", w
	}
	current := h.servers.all.Server(c.Name)
	if current == nil || len(c.Command) == 0 {
		return "", w
	}
	command := current.Config().Command
	if t := h.canary; t != nil && t.server == c.Name {
		command = t.next.Config().Command
	}
	watched := slices.Equal(entry.Watch, c.Watch)
	entry.Watch, entry.Build, entry.Canary = c.Watch, c.Build, c.Canary
	found := h.digest(c, command)
	if !watched { // nothing to compare with
		*digest = found
	}
	if found == "" { // not known now: what was known counts the next time
		return "", w
	}
	if found == *digest || *digest == "" {
		*digest = found
		return "", w
	}
	w.command = command
	return "its program has changed", w
}

func (h refresh) managed(server string) bool {
	s := h.servers.all.Server(server)
	if s == nil {
		return false
	}
	cfg := s.Config()
	return cfg.Managed()
}

// removeServers ends the servers that the settings have no more, unless the live configuration needs one of their plugins.
func (h refresh) removeServers(ctx context.Context, list []config.PluginServer) {
	for _, name := range h.servers.names() {
		if slices.ContainsFunc(list, func(c config.PluginServer) bool { return c.Name == name }) {
			continue
		}
		if err := h.removeServer(ctx, name); err != nil {
			h.logger.Error("the plugin server is not in the settings any more but is needed: it stays", "server", name, "error", err.Error())
			continue
		}
		h.logger.Info("the plugin server is not in the settings any more: it ends", "server", name)
	}
}

func (h refresh) removeServer(ctx context.Context, name string) error {
	ctx, cancel := h.untilStop(ctx)
	defer cancel()
	m := h.servers.madeOf(name)
	m.replacing.Lock()
	defer m.replacing.Unlock()
	h.reloading.Lock()
	defer h.reloading.Unlock()
	if h.stopping() {
		return errStopping
	}
	if c := h.canary; c != nil && c.server == name {
		h.rollBack(c, telemetry.LevelNotice, "the settings do not have its plugin server any more")
	}
	gen, err := h.compile(ctx, h.entities, h.servers.builds().without(name))
	if err != nil {
		return errors.New(firstLine(err.Error()))
	}
	h.servers.all.Remove(name)
	h.servers.forget(name)
	h.generations.Swap(gen)
	h.recompileCanary(ctx, nil)
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// makeOf is what a server of the settings is made of.
func (h *Host) makeOf(c *config.PluginServer) *made {
	m := &made{entry: *c}
	if len(c.Command) > 0 {
		m.digest = h.digest(c, c.Command)
	}
	return m
}
