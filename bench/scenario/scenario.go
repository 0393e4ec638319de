// Package scenario is what the benchmark asks, as data: a scenario is one question, the loads under which it is asked, and the variants of the
// gateway that answer it. The scenarios of the program are the files of package scenarios; a user may give his own.
package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// Scenario is one file.
type Scenario struct {
	// Name is the name of the file without its ending.
	Name     string `yaml:"-"`
	Question string `yaml:"question"`
	// CPUs bind the load, the gateway and all it starts to these processors, such as 0 or 0-3; empty: all.
	CPUs string `yaml:"cpus"`
	// Request is sent again and again; without one it is DefaultRequest.
	Request Request `yaml:"request"`
	// Loads are those that every variant gets.
	Loads Loads `yaml:"loads"`
	// Variants are compared with the first.
	Variants []Variant `yaml:"variants"`
	// Peers adds the peers, each with its own baseline, when they can be had.
	Peers bool `yaml:"peers"`
	// Lanes measures the plugin servers without a gateway; the numbers of connections are those of callers.
	Lanes bool `yaml:"lanes"`
	// Idle opens so many connections to the first variant at the end, and reports the memory of its gateway; 0: none.
	Idle int `yaml:"idle"`
	// Charts are drawn of the figures.
	Charts []Chart `yaml:"charts"`
}

// Variant is one way of running the gateway.
type Variant struct {
	Name string `yaml:"name"`
	// For makes a variant of each value (of each combination, if there are several names); ${NAME} stands for it.
	For map[string][]any `yaml:"for"`
	// Series is the line of a chart that the variant is a point of, and X where on it.
	Series string  `yaml:"series"`
	X      float64 `yaml:"x"`
	// Native names plugins of the bench that run inside the host.
	Native []string `yaml:"native"`
	// Servers are items of plugin_servers in outrigger.yaml, without names. Instead of command, kit says go, python or js: the bench's plugins in
	// that language. With kit go, only names the plugins that the server has.
	Servers []map[string]any `yaml:"servers"`
	// Plugins are the plugins of the service, as in gateway.yaml.
	Plugins []any `yaml:"plugins"`
	// Routes is the number of further routes in the configuration, which no request takes.
	Routes int `yaml:"routes"`
	// Proof are the headers that one request must show: proof that the plugins do their work.
	Proof Proof `yaml:"proof"`

	// Own is a configuration of the user's, instead of all the above.
	Own *Own `yaml:"-"`
	// Peer is another gateway; Baseline says that its plugin is left out.
	Peer     *Peer `yaml:"-"`
	Baseline bool  `yaml:"-"`
}

// Proof are the headers of one response, and of its request at the upstream. ${BODY} stands for the length of the request's body, ${RESPONSE} for
// that of the response's.
type Proof struct {
	Response map[string]string `yaml:"response"`
	Upstream map[string]string `yaml:"upstream"`
}

// BaselineName is the name of the variant that a variant is compared with: of the first, or for a peer of the same peer without plugin.
func (s *Scenario) BaselineName(v *Variant) string {
	if v.Peer != nil {
		return v.Peer.Name + "-no-plugin"
	}
	return s.Variants[0].Name
}

// Chart is a drawing of one measure.
type Chart struct {
	Name  string `yaml:"name"`
	Title string `yaml:"title"`
	// Measure is the name of a measure of package report, such as ratio or p50_us.
	Measure string `yaml:"measure"`
	// X is what goes to the right: variant (bars), x (of the variants), connections, body or response.
	X string `yaml:"x"`
	// XTitle is written below.
	XTitle string `yaml:"x_title"`
	// Rate picks the loads at a fixed rate instead of those of the closed loop.
	Rate bool `yaml:"rate"`
	// Connections picks the loads with so many connections; 0: all, or for bars the largest.
	Connections int `yaml:"connections"`
	// Relative shows each series relative to its value at this x; nil: as it is.
	Relative *float64 `yaml:"relative"`
}

var variantName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// Parse reads one file. Unknown keys are errors.
func Parse(name string, data []byte) (*Scenario, error) {
	s := &Scenario{Name: name}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("scenario %s: %w", name, err)
	}
	var expanded []Variant
	for i := range s.Variants {
		list, err := s.Variants[i].expand()
		if err != nil {
			return nil, fmt.Errorf("scenario %s: variants[%d] %q: %w", name, i, s.Variants[i].Name, err)
		}
		expanded = append(expanded, list...)
	}
	s.Variants = expanded
	if s.Request.empty() {
		s.Request = DefaultRequest()
	}
	if err := s.validate(); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", name, err)
	}
	return s, nil
}

func (s *Scenario) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Question == "" {
		bad("question is missing: expected the question that the figures answer")
	}
	if len(s.Loads) == 0 {
		bad("loads is empty: expected items such as {connections: [1, 64]}")
	}
	if err := s.Request.validate(); err != nil {
		bad("request: %w", err)
	}
	for _, v := range s.Variants {
		if s.Lanes && (len(v.Servers) != 1 || v.Servers[0]["kit"] == nil) {
			bad("variant %q: lanes is set: expected one server with a kit", v.Name)
		}
	}
	if s.Idle < 0 || s.Idle > 100_000 {
		bad("idle is %d: expected 0 to 100000", s.Idle)
	}
	if len(s.Variants) == 0 {
		bad("variants is empty: expected the baseline and what is compared with it")
	}
	seen := map[string]bool{}
	for i := range s.Variants {
		v := &s.Variants[i]
		if !variantName.MatchString(v.Name) || seen[v.Name] {
			bad("variants[%d].name is %q: expected lower-case letters, digits and dashes, and no name twice", i, v.Name)
		}
		seen[v.Name] = true
		if err := v.validate(); err != nil {
			bad("variant %q: %w", v.Name, err)
		}
	}
	for i, c := range s.Charts {
		if !variantName.MatchString(c.Name) || c.Title == "" || c.Measure == "" {
			bad("charts[%d]: found name %q, title %q and measure %q, expected all three", i, c.Name, c.Title, c.Measure)
		}
		if known := []string{"variant", "x", "connections", "body", "response"}; !slices.Contains(known, c.X) {
			bad("charts[%d] %q: x is %q%s: expected %s", i, c.Name, c.X, Nearest(c.X, known), strings.Join(known, ", "))
		}
	}
	return errors.Join(errs...)
}

// kits are the languages of the bench's plugins.
var kits = []string{"go", "python", "js"}

func (v *Variant) validate() error {
	if len(v.Plugins) == 0 && (len(v.Servers) > 0 || len(v.Native) > 0) {
		return errors.New("found no plugins: expected some for its servers or native")
	}
	if v.Routes < 0 || v.Routes > 100_000 {
		return fmt.Errorf("routes is %d: expected 0 to 100000", v.Routes)
	}
	for i, server := range v.Servers {
		kit, own := server["kit"]
		if _, named := server["name"]; named {
			return fmt.Errorf("servers[%d].name is set: the runner names the servers", i)
		}
		_, started := server["command"]
		_, attached := server["address"]
		if own == (started || attached) {
			return fmt.Errorf("servers[%d]: expected one of kit, command and address", i)
		}
		if text, _ := kit.(string); own && !slices.Contains(kits, text) {
			return fmt.Errorf("servers[%d].kit is %v: expected %s", i, kit, strings.Join(kits, ", "))
		}
		if _, found := server["only"]; found && kit != "go" {
			return fmt.Errorf("servers[%d].only is set: only servers of kit go can leave plugins out", i)
		}
	}
	return nil
}

// Kits are the languages of the bench's plugins that a scenario needs.
func (s *Scenario) Kits() []string {
	found := map[string]bool{}
	for _, v := range s.Variants {
		for _, server := range v.Servers {
			if kit, ok := server["kit"].(string); ok {
				found[kit] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Narrow keeps the baseline and the variants whose names contain one of the texts, and keeps only loads with these numbers of connections, or
// puts them in the place of the scenario's when none has one of them; nil changes nothing. It is an error when a text fits no variant.
func (s *Scenario) Narrow(texts []string, connections []int) error {
	s.Loads = s.Loads.withConnections(connections)
	if len(texts) == 0 {
		return nil
	}
	used := map[string]bool{}
	kept := s.Variants[:1:1]
	for i := range s.Variants {
		for _, t := range texts {
			if strings.Contains(s.Variants[i].Name, t) {
				used[t] = true
				if i > 0 && kept[len(kept)-1].Name != s.Variants[i].Name {
					kept = append(kept, s.Variants[i])
				}
			}
		}
	}
	for _, t := range texts {
		if !used[t] {
			names := s.names()
			return fmt.Errorf("scenario %s has no variant with %q in its name%s: expected a part of %s", s.Name, t, Nearest(t, names), strings.Join(names, ", "))
		}
	}
	s.Variants = kept
	return nil
}

func (s *Scenario) names() []string {
	var names []string
	for _, v := range s.Variants {
		names = append(names, v.Name)
	}
	return names
}

// Nearest suggests the word that is meant by text, as "; did you mean ...?"; empty if none is near.
func Nearest(text string, words []string) string {
	best := nearest.Name(text, words)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}
