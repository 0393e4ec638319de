package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Peer is another gateway that does the same work. In its texts ${DIR} is a directory of its own, ${PORT} the port it listens on, ${PORT_x} for
// any letter x another free port, ${UPSTREAM} and ${UPSTREAM_PORT} where the upstream is.
type Peer struct {
	Name string `yaml:"name"`
	// What is in words how it runs the plugin.
	What  string `yaml:"what"`
	Needs Needs  `yaml:"needs"`
	// Setup is its files and programs with the plugin, Baseline those without.
	Setup    `yaml:",inline"`
	Baseline Setup `yaml:"baseline"`
	Proof    Proof `yaml:"proof"`
}

// Needs is what has to be installed: packages of Debian and of PyPI, which bring the commands.
type Needs struct {
	Apt      []string `yaml:"apt"`
	Pip      []string `yaml:"pip"`
	Commands []string `yaml:"commands"`
}

// Setup is what is started, in this order; the last program is the gateway itself, the others are agents.
type Setup struct {
	// Files are written into ${DIR}, by name.
	Files    map[string]string `yaml:"files"`
	Programs [][]string        `yaml:"programs"`
}

// LoadPeers reads a file of peers.
func LoadPeers(path string) ([]Peer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the peers: %w", err)
	}
	var file struct {
		Peers []Peer `yaml:"peers"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("reading the peers %s: %w", path, err)
	}
	var errs []error
	for i, p := range file.Peers {
		if !variantName.MatchString(p.Name) || len(p.Programs) == 0 || len(p.Baseline.Programs) == 0 {
			errs = append(errs, fmt.Errorf("peers %s: peers[%d] %q: expected a name in lower case, programs and baseline.programs", path, i, p.Name))
		}
		for _, program := range slices.Concat(p.Programs, p.Baseline.Programs) {
			if len(program) == 0 {
				errs = append(errs, fmt.Errorf("peers %s: %q has an empty program: expected a command and its arguments", path, p.Name))
			}
		}
	}
	return file.Peers, errors.Join(errs...)
}

// Variants are the peer with its plugin, and without.
func (p *Peer) Variants() []Variant {
	return []Variant{
		{Name: p.Name + "-no-plugin", Peer: p, Baseline: true},
		{Name: p.Name, Peer: p, Proof: p.Proof},
	}
}

// Setup of a variant of a peer.
func (v *Variant) Setup() *Setup {
	if v.Baseline {
		return &v.Peer.Baseline
	}
	return &v.Peer.Setup
}

// Write writes the files into dir with values for ${NAME}, and returns the programs with the values.
func (s *Setup) Write(dir string, values func(name string) string) ([][]string, error) {
	for name, text := range s.Files {
		if name != filepath.Base(name) {
			return nil, fmt.Errorf("the file %q: expected a name without directories", name)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(replaceNames(text, values)), 0o600); err != nil {
			return nil, err
		}
	}
	var programs [][]string
	for _, program := range s.Programs {
		var words []string
		for _, word := range program {
			words = append(words, replaceNames(word, values))
		}
		programs = append(programs, words)
	}
	return programs, nil
}

// replaceNames replaces ${NAME} where values knows the name; others stay: they may belong to the peer.
func replaceNames(text string, values func(name string) string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(text, "${")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, rest, ended := strings.Cut(after, "}")
		if value := values(name); ended && value != "" {
			b.WriteString(value)
			text = rest
			continue
		}
		b.WriteString("${")
		text = after
	}
}
