package reference_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/outrigger-gateway/outrigger/host/internal/plan/reference"
)

// vectorFile is the text of one file of vectors; ../testdata/README.md explains it.
type vectorFile struct {
	Vectors []vector `yaml:"vectors"`
}

// vector is a configuration and what must come of it: of requests, or of loading it.
type vector struct {
	Name      string                    `yaml:"name"`
	Spec      string                    `yaml:"spec"`
	Records   map[string]string         `yaml:"records"`
	Plugins   map[string]string         `yaml:"plugins"`
	Routes    map[string]string         `yaml:"routes"`
	Groups    map[string]int            `yaml:"groups"`
	Consumers map[string][]string       `yaml:"consumers"`
	Config    map[string]map[string]any `yaml:"config"`
	Algorithm string                    `yaml:"algorithm"`
	Mode      string                    `yaml:"mode"`
	Late      string                    `yaml:"late"`
	Cycle     *cycle                    `yaml:"cycle"`
	Cases     []requestCase             `yaml:"cases"`
}

// cycle is the error that loading must give.
type cycle struct {
	Route    string   `yaml:"route"`
	Consumer string   `yaml:"consumer"`
	Phase    string   `yaml:"phase"`
	Records  []string `yaml:"records"`
}

// requestCase is one request and what must run. A chain that is not given is not compared; [] is an empty one.
type requestCase struct {
	Name  string            `yaml:"name"`
	Route *string           `yaml:"route"`
	As    string            `yaml:"as"`
	Sets  map[string]sets   `yaml:"sets"`
	Exits []string          `yaml:"exits"`
	Truth map[string]string `yaml:"truth"`

	Access       *[]string `yaml:"access"`
	Enrolled     *[]string `yaml:"enrolled"`
	Rewrite      *[]string `yaml:"rewrite"`
	Response     *[]string `yaml:"response"`
	HeaderFilter *[]string `yaml:"header_filter"`
	BodyFilter   *[]string `yaml:"body_filter"`
	Log          *[]string `yaml:"log"`
	Failed       string    `yaml:"failed"`
	// Merged is the configuration that records get; Inherits is whom they have it from, nearest first.
	Merged   map[string]map[string]any `yaml:"merged"`
	Inherits map[string][]string       `yaml:"inherits"`
}

// sets is whom a plugin authenticates.
type sets struct {
	Consumer string   `yaml:"consumer"`
	Groups   []string `yaml:"groups"`
}

type world struct {
	Plugins   map[string]string   `yaml:"plugins"`
	Routes    map[string]string   `yaml:"routes"`
	Groups    map[string]int      `yaml:"groups"`
	Consumers map[string][]string `yaml:"consumers"`
}

func decodeFile(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// loadVectors reads all files of vectors, by name without extension.
func loadVectors(t *testing.T) (world, map[string]vectorFile) {
	t.Helper()
	var base world
	decodeFile(t, "../testdata/world.yaml", &base)
	paths, err := filepath.Glob("../testdata/vectors/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	files := map[string]vectorFile{}
	for _, path := range paths {
		var f vectorFile
		decodeFile(t, path, &f)
		files[strings.TrimSuffix(filepath.Base(path), ".yaml")] = f
	}
	return base, files
}

// model makes the configuration of a vector.
func (v *vector) model(base world) (*reference.World, error) {
	w := &reference.World{
		Plugins: map[string]reference.Plugin{}, Routes: base.Routes, Groups: base.Groups, Consumers: base.Consumers,
		Options: reference.Options{PriorityPreserving: v.Algorithm == "priority_preserving", Push: v.Mode == "push", Late: v.Late},
	}
	for _, plugins := range []map[string]string{base.Plugins, v.Plugins} {
		for name, text := range plugins {
			p, err := parsePlugin(text)
			if err != nil {
				return nil, fmt.Errorf("plugin %s: %w", name, err)
			}
			w.Plugins[name] = p
		}
	}
	if v.Routes != nil {
		w.Routes = v.Routes
	}
	if v.Groups != nil {
		w.Groups = v.Groups
	}
	if v.Consumers != nil {
		w.Consumers = v.Consumers
	}
	for label, text := range v.Records {
		r, err := parseRecord(w, label, text)
		if err != nil {
			return nil, fmt.Errorf("record %s: %w", label, err)
		}
		r.Config = v.Config[label]
		w.Records = append(w.Records, r)
	}
	// The order of the records must not matter; this one is neither that of the file nor that of priorities.
	slices.SortFunc(w.Records, func(a, b *reference.Record) int { return strings.Compare(a.Label, b.Label) })
	return w, nil
}

func parsePlugin(text string) (reference.Plugin, error) {
	priority, letters, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(priority)
	p := reference.Plugin{Priority: n}
	for _, l := range letters {
		i := strings.IndexRune("RAPHBL", l)
		if i < 0 {
			return p, fmt.Errorf("%q is no phase", l)
		}
		p.Phases = append(p.Phases, reference.Phases[i])
	}
	return p, err
}

// parseRecord reads the short notation: plugin[/instance] [@scope,scope...] [word...].
func parseRecord(w *reference.World, label, text string) (*reference.Record, error) {
	words := strings.Fields(text)
	r := &reference.Record{Label: label, Before: map[string][]string{}, After: map[string][]string{}}
	r.Plugin, r.Instance, _ = strings.Cut(words[0], "/")
	if _, ok := w.Plugins[r.Plugin]; !ok {
		return nil, fmt.Errorf("unknown plugin %q", r.Plugin)
	}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(word, "@"):
			for _, name := range strings.Split(word[1:], ",") {
				if err := bind(w, r, name); err != nil {
					return nil, err
				}
			}
		case word == "off":
			r.Off = true
		case word == "disable":
			r.Disable = true
		case word == "inherit":
			r.Inherit = true
		case word == "stack":
			r.Stack = true
		case key == "priority":
			n, err := strconv.Atoi(value)
			if err != nil {
				return nil, err
			}
			r.Priority = &n
		case key == "if":
			var next string
			r.Condition, next, _ = strings.Cut(value, ":")
			r.Next = next == "next"
		default:
			rule, phase, ok := strings.Cut(key, ".")
			if !ok {
				phase = reference.Access
			}
			rules := map[string]map[string][]string{"before": r.Before, "after": r.After}[rule]
			if rules == nil || !slices.Contains(reference.Phases, phase) {
				return nil, fmt.Errorf("unknown word %q", word)
			}
			rules[phase] = strings.Split(value, ",")
		}
	}
	return r, nil
}

// bind binds a record to the entity of that name.
func bind(w *reference.World, r *reference.Record, name string) error {
	if _, ok := w.Routes[name]; ok {
		r.Route = name
		return nil
	}
	if _, ok := w.Groups[name]; ok {
		r.Group = name
		return nil
	}
	if _, ok := w.Consumers[name]; ok {
		r.Consumer = name
		return nil
	}
	for _, s := range w.Routes {
		if s == name {
			r.Service = name
			return nil
		}
	}
	return fmt.Errorf("no route, service, group or consumer is called %q", name)
}

// request makes the request of a case.
func (c *requestCase) request() reference.Request {
	req := reference.Request{Route: "r", Sets: map[string]reference.Identity{}, Exits: map[string]bool{}, Truth: map[string]reference.Truth{}}
	if c.Route != nil {
		req.Route = *c.Route
	}
	if c.As != "" {
		req.Sets["key-auth"] = reference.Identity{Consumer: c.As}
	}
	for plugin, s := range c.Sets {
		req.Sets[plugin] = reference.Identity{Consumer: s.Consumer, Groups: s.Groups}
	}
	for _, plugin := range c.Exits {
		req.Exits[plugin] = true
	}
	for condition, t := range c.Truth {
		req.Truth[condition] = reference.Truth(t)
	}
	return req
}
