// Package lint finds what a valid configuration most likely does not mean: routes that nothing reaches, records that never apply, names that
// lead nowhere. It reads a configuration that was compiled, so that every finding rests on the router and the plans that serve requests; it
// does no I/O. What cannot be decided is not found.
package lint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
)

// Input is a compiled configuration.
type Input struct {
	Written *entity.Set    // as it was read
	Places  *config.Places // of the entities of Written
	Set     *entity.Set    // as it was compiled: the same entities, other plugin records
	Catalog []entity.Manifest
	// Unknown are the plugins of which only the name is known, because nobody was asked.
	Unknown map[string]bool
	Vault   config.Vault
	Router  *router.Router
	Plans   *plan.Set
}

// Finding is one thing that should be looked at.
type Finding struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Path     string   `json:"path"` // place in the document, such as services[0].routes[1].paths[0]
	Found    string   `json:"found"`
	Why      string   `json:"why"` // why it matters
	Fix      string   `json:"fix"`
}

// Severity says how sure it is that something is wrong.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // it never does what it is there for
	Warning Severity = "warning" // it works, and is most likely not what was meant
)

// Lint gives all findings, in the order of the file.
func Lint(in Input) []Finding {
	l := &linter{Input: in, codes: map[string]Code{}, manifests: map[string]*entity.Manifest{}, otherwise: map[*entity.Plugin]bool{}}
	for _, c := range Codes() {
		l.codes[c.Code] = c
	}
	for i := range in.Catalog {
		l.manifests[in.Catalog[i].Name] = &in.Catalog[i]
	}
	l.review()
	l.routes()
	l.services()
	l.consumers()
	l.warnings()
	l.records()
	l.shadowed()
	l.texts()
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Found, b.Found))
	})
	return slices.Compact(l.found) // a record that is merged in several ways is looked at several times
}

// linter gathers findings.
type linter struct {
	Input
	codes     map[string]Code
	manifests map[string]*entity.Manifest
	found     []Finding
	otherwise map[*entity.Plugin]bool // records whose protocols never match
}

// add records a finding; fix is in place of the code's own when it is not empty.
func (l *linter) add(code, path string, pos entity.Pos, found, fix string) {
	c := l.codes[code]
	l.found = append(l.found, Finding{
		Code: code, Severity: c.Severity, File: pos.File, Line: pos.Line, Column: pos.Col, Path: path, Found: found, Why: c.Why, Fix: cmp.Or(fix, c.Fix),
	})
}

// at records a finding about a service, route, consumer or upstream, or about a value inside it.
func (l *linter) at(code string, e any, inside []string, found, fix string) {
	path, pos, _ := l.Places.Find(e, inside...)
	l.add(code, path, pos, found, fix)
}

// record records a finding about a plugin record, or about one of its fields.
func (l *linter) record(code string, p *entity.Plugin, field, found, fix string) {
	pos := p.Pos
	if field != "" && p.FieldAt != nil {
		pos = p.FieldAt(field)
	}
	l.add(code, strings.Trim(p.Path+"."+field, "."), pos, found, fix)
}

// manifest is what is known of a record's plugin; nil when only its name is.
func (l *linter) manifest(p *entity.Plugin) *entity.Manifest {
	if l.Unknown[p.Name] {
		return nil
	}
	return l.manifests[p.Name]
}

// active reports whether a record runs its plugin somewhere.
func active(p *entity.Plugin) bool { return p.Enabled && !p.Disables() }
