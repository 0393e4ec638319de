package scenario

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Own is a configuration of a user's: his settings, and his entities with some of his plugins.
type Own struct {
	path     string // of the entities
	settings string // the path; "": none
	text     []byte // of the entities
	kept     func(plugin string) bool
	// keepUpstreams leaves the services where they point to, instead of the upstream of the bench.
	keepUpstreams bool
}

// Path is the file of the entities.
func (o *Own) Path() string { return o.path }

// OwnOptions say what a user wants to know.
type OwnOptions struct {
	// Settings is his outrigger.yaml, or empty; Config his gateway.yaml, or empty: what the settings name.
	Settings, Config string
	Request          Request
	Connections      []int
	// KeepUpstreams sends the requests where his services point to.
	KeepUpstreams bool
}

// OwnScenario asks what the plugins of a configuration cost: without any, with each alone, and with all.
func OwnScenario(o OwnOptions) (*Scenario, error) {
	if o.Config == "" {
		var err error
		if o.Config, err = configOf(o.Settings); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(o.Config)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	var document map[string]any
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("reading the configuration %s: %w", o.Config, err)
	}
	names := map[string]bool{}
	eachPlugins(document, func(records []any) []any {
		for _, record := range records {
			if name := pluginOf(record); name != "" {
				names[name] = true
			}
		}
		return records
	})
	if len(names) == 0 {
		return nil, fmt.Errorf("the configuration %s has no plugin: expected at least one whose cost is to be measured", o.Config)
	}
	if o.Settings != "" {
		if o.Settings, err = filepath.Abs(o.Settings); err != nil {
			return nil, err
		}
	}
	own := func(kept func(string) bool) *Own { return &Own{o.Config, o.Settings, text, kept, o.KeepUpstreams} }
	s := &Scenario{
		Name: "own", Question: "What do the plugins of " + o.Config + " cost?", Request: o.Request,
		Variants: []Variant{{Name: "no-plugin", Own: own(func(string) bool { return false })}},
		Charts:   []Chart{{Name: "own", Title: "Throughput with your plugins", Measure: "ratio", X: "variant"}},
	}
	sorted := slices.Sorted(maps.Keys(names))
	for _, name := range sorted {
		s.Variants = append(s.Variants, Variant{Name: variantNameOf(name), Own: own(func(other string) bool { return other == name })})
	}
	if len(sorted) > 1 {
		s.Variants = append(s.Variants, Variant{Name: "all-plugins", Own: own(func(string) bool { return true })})
	}
	for _, n := range o.Connections {
		s.Loads = append(s.Loads, Load{Connections: n, Body: -1, Response: -1})
	}
	return s, s.validate()
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// variantNameOf makes the name of a variant of the name of a plugin.
func variantNameOf(plugin string) string {
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(plugin), "-"), "-")
	if name == "no-plugin" || name == "all-plugins" {
		name = "plugin-" + name
	}
	return name
}

// configOf finds the file that the settings name as declarative_config.
func configOf(settings string) (string, error) {
	if settings == "" {
		return "", errors.New("found neither --config nor --settings: expected at least one of them")
	}
	text, err := os.ReadFile(settings)
	if err != nil {
		return "", fmt.Errorf("reading the settings: %w", err)
	}
	var s struct {
		Config string `yaml:"declarative_config"`
	}
	if err := yaml.Unmarshal(text, &s); err != nil {
		return "", fmt.Errorf("reading the settings %s: %w", settings, err)
	}
	if s.Config == "" {
		return "", fmt.Errorf("the settings %s name no declarative_config: expected it there, or --config gateway.yaml", settings)
	}
	if !filepath.IsAbs(s.Config) {
		s.Config = filepath.Join(filepath.Dir(settings), s.Config)
	}
	return s.Config, nil
}

// pluginOf is the name of the plugin of a record; "" when it is switched off.
func pluginOf(record any) string {
	r, ok := record.(map[string]any)
	if !ok || r["enabled"] == false || r["mode"] == "disable" {
		return ""
	}
	name, _ := r["name"].(string)
	return name
}

// eachPlugins gives every list of plugin records to change: those of the document, and of its services, routes, consumers and groups.
func eachPlugins(entity map[string]any, change func([]any) []any) {
	for name, value := range entity {
		list, ok := value.([]any)
		switch {
		case !ok:
		case name == "plugins":
			entity[name] = change(list)
		case slices.Contains([]string{"services", "routes", "consumers", "consumer_groups"}, name):
			for _, item := range list {
				if inner, ok := item.(map[string]any); ok {
					eachPlugins(inner, change)
				}
			}
		}
	}
}

// toOneUpstream are the fields of a service that say where and how its upstream is reached.
var toOneUpstream = []string{"url", "protocol", "host", "port", "path", "tls_verify", "tls_verify_depth", "tls_sans", "ca_certificates", "client_certificate"}

// files writes the entities with the plugins that are kept. The settings stay where they are: relative paths start from there.
func (o *Own) files(e Environment) (settings, entities string, err error) {
	var document map[string]any
	if err := yaml.Unmarshal(o.text, &document); err != nil {
		return "", "", err
	}
	eachPlugins(document, func(records []any) []any {
		kept := []any{}
		for _, record := range records {
			if name := pluginOf(record); name != "" && o.kept(name) {
				kept = append(kept, record)
			}
		}
		return kept
	})
	if services, ok := document["services"].([]any); ok && !o.keepUpstreams {
		for _, service := range services {
			if s, ok := service.(map[string]any); ok {
				for _, field := range toOneUpstream {
					delete(s, field)
				}
				s["url"] = "http://" + e.Upstream
			}
		}
	}
	entities = filepath.Join(e.Dir, "gateway.yaml")
	if settings = o.settings; settings == "" {
		settings = filepath.Join(e.Dir, "outrigger.yaml")
		if err := writeYAML(settings, map[string]any{"proxy_listen": "127.0.0.1:0"}); err != nil {
			return "", "", err
		}
	}
	return settings, entities, writeYAML(entities, document)
}
