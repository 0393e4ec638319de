package lint

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// review reports what the router says of its routes.
func (l *linter) review() {
	found := l.Router.Review()
	for _, h := range found.Hidden {
		others := make([]string, len(h.By))
		for i, r := range h.By {
			others[i] = l.route(r)
		}
		by := join(others)
		if h.Path < 0 {
			l.at(CodeRouteUnreachable, h.Route, nil, fmt.Sprintf("route %s: every request for it goes to %s", l.name(h.Route), by), "")
			continue
		}
		l.at(CodePathUnreachable, h.Route, []string{"paths", strconv.Itoa(h.Path)},
			fmt.Sprintf("path %q of route %s: every request for it goes to %s", h.Route.Paths[h.Path], l.name(h.Route), by), "")
	}
	for _, t := range found.Ties {
		inside := []string{}
		if t.LoserPath >= 0 {
			inside = []string{"paths", strconv.Itoa(t.LoserPath)}
		}
		rule := "its created_at is earlier"
		switch t.Rule {
		case router.RuleID:
			rule = "its id is smaller"
		case router.RuleUUID:
			rule = "its UUID is larger"
		}
		request := t.Path
		if t.Host != "" {
			request = t.Host + request
		}
		if t.Method != "" {
			request = t.Method + " " + request
		}
		l.at(CodeRouteTie, t.Loser, inside, fmt.Sprintf("route %s has the priority of %s, and requests such as %s match both; %s wins, as %s",
			l.name(t.Loser), l.route(t.Winner), request, l.name(t.Winner), rule), "")
	}
}

// name is the name of a route in quotes, or its id.
func (l *linter) name(r *entity.Route) string {
	if r.Name != "" {
		return strconv.Quote(r.Name)
	}
	return r.ID
}

// route names a route with its line.
func (l *linter) route(r *entity.Route) string {
	s := "route " + l.name(r)
	if _, pos, ok := l.Places.Find(r); ok {
		s += fmt.Sprintf(" in line %d", pos.Line)
	}
	return s
}

// join lists things in a sentence; of many the first few.
func join(all []string) string {
	const most = 3
	if n := len(all); n > most {
		all = append(all[:most:most], fmt.Sprintf("%d more", n-most))
	}
	last := len(all) - 1
	if last < 1 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:last], ", ") + " and " + all[last]
}

// routes looks at each route by itself.
func (l *linter) routes() {
	answers := l.answering()
	for _, r := range l.Set.Routes {
		l.duplicates(CodeDuplicateHost, r, "hosts", r.Hosts, strings.ToLower)
		l.duplicates(CodeDuplicatePath, r, "paths", r.Paths, func(s string) string { return s })
		l.literalPaths(r)
		for _, n := range router.NeverTrue(r.Expression) {
			l.at(CodeNeverTrue, r, []string{"expression"}, fmt.Sprintf("%s in the expression of route %s: %s", n.Comparison, l.name(r), n.Reason), n.Fix)
		}
		if len(r.Protocols) == 1 && r.Protocols[0] == "http" && !l.Router.StrictProtocols() {
			l.at(CodeProtocolsNoMatch, r, []string{"protocols"}, fmt.Sprintf("route %s for protocol http alone", l.name(r)), "")
		}
		if r.PathHandling == "v1" && !l.Router.HeedsPathHandling() {
			l.at(CodePathHandlingIdle, r, []string{"path_handling"}, fmt.Sprintf("route %s with path_handling v1, which this flavour does not heed", l.name(r)), "")
		}
		if r.Service == nil && !answers[nil] && !answers[r] {
			l.at(CodeRouteWithoutService, r, nil, fmt.Sprintf("route %s without a service, on which no plugin answers", l.name(r)), "")
		}
	}
}

// literalPaths reports literal paths that were most likely meant otherwise.
func (l *linter) literalPaths(r *entity.Route) {
	for i, path := range r.Paths {
		at := []string{"paths", strconv.Itoa(i)}
		bare, query, found := strings.Cut(path, "?")
		switch {
		case strings.HasPrefix(path, "~"):
		case patternLike.MatchString(path):
			l.at(CodePathLikeRegex, r, at, fmt.Sprintf("the literal path %q of route %s", path, l.name(r)), "")
		case found:
			l.at(CodeNeverTrue, r, at, fmt.Sprintf("the path %q of route %s: paths have no query", path, l.name(r)),
				fmt.Sprintf("write %q; a route asks for %q with the expression http.queries.<name> == …", bare, query))
		}
	}
}

// patternLike is what stands in regular expressions, templates and globs, and hardly ever in a path. Parentheses and dollar signs alone do, in OData.
var patternLike = regexp.MustCompile(`\\|\(\?|\[[^\]/]*\]|\.\+|\*|\{[^}/]*\}|\(.*\|.*\)|[^/]\$$`)

// duplicates reports the values of a field that stand in it twice.
func (l *linter) duplicates(code string, r *entity.Route, field string, values []string, key func(string) string) {
	for i, v := range values {
		for j := range i {
			if key(values[j]) != key(v) {
				continue
			}
			l.at(code, r, []string{field, strconv.Itoa(i)}, fmt.Sprintf("%q again in the %s of route %s", v, field, l.name(r)), "")
			break
		}
	}
}

// passing are the plugins of ours that answer only what they refuse.
func passing(name string) bool {
	switch name {
	case "acl", "basic-auth", "bot-detection", "correlation-id", "cors", "ip-restriction", "key-auth", "rate-limiting", "request-size-limiting",
		"request-transformer", "response-transformer":
		return true
	}
	return false
}

// answering finds the routes without service on which some plugin may answer; nil stands for all of them.
func (l *linter) answering() map[*entity.Route]bool {
	found := map[*entity.Route]bool{}
	for _, p := range l.Set.Plugins {
		if active(p) && p.Service == nil && l.mayAnswer(p) {
			found[p.Route] = true
		}
	}
	return found
}

// mayAnswer reports whether a plugin may answer a request that it does not refuse. Of one that is not ours only the phases are known.
func (l *linter) mayAnswer(p *entity.Plugin) bool {
	m := l.manifest(p)
	if m == nil {
		return true
	}
	var phases pdk.Phase
	for _, name := range m.Phases {
		phases |= pdk.PhaseByName(name)
	}
	const answer = pdk.PhaseRewrite | pdk.PhaseAccess | pdk.PhaseResponse | pdk.PhaseHeaderFilter
	return phases&answer != 0 && (m.Server != "" || !passing(native(m)))
}

// native is the name of the plugin whose code runs.
func native(m *entity.Manifest) string {
	if m.Ref != "" {
		return m.Ref
	}
	return m.Name
}
