package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// warnings reports what the plans say. Where a plugin is known by name only nothing is said about its place and phases.
func (l *linter) warnings() {
	for _, w := range l.Plans.Warnings() {
		switch w.Code {
		case plan.WarnBeforeAuth, plan.WarnConsumerEarly:
			if len(l.Unknown) > 0 { // which may authenticate
				continue
			}
		case plan.WarnNeverActive:
			if l.Unknown[w.Record.Name] || w.Other != nil && l.Unknown[w.Other.Name] {
				continue
			}
		}
		if w.Code == plan.WarnProtocols {
			l.otherwise[w.Record] = true
		}
		found, fix, _ := strings.Cut(strings.TrimPrefix(w.Message, "found "), " (fix: ")
		l.add(w.Code, w.Path, w.Pos, found, strings.TrimSuffix(fix, ")"))
	}
}

// records looks at each plugin record by itself.
func (l *linter) records() {
	consumers := map[string]bool{}
	var names []string
	for _, c := range l.Set.Consumers {
		consumers[c.ID] = true
		if c.Username != "" {
			consumers[c.Username] = true
			names = append(names, c.Username)
		}
	}
	for _, p := range l.Set.Plugins {
		m := l.manifest(p)
		if m == nil || !active(p) || !m.Authenticates {
			continue
		}
		if name, ok := p.Effective()["anonymous"].(string); ok && name != "" && !consumers[name] {
			fix := ""
			if near := nearest.Name(name, names); near != "" {
				fix = fmt.Sprintf("write %q, or add the consumer", near)
			}
			path, pos := p.Path+".config.anonymous", p.Pos
			if p.At != nil {
				pos = p.At([]string{"anonymous"})
			}
			l.add(CodeMissingConsumer, path, pos, fmt.Sprintf("plugin %q for the anonymous consumer %q, which does not exist", p.Name, name), fix)
		}
		mode, from := p.FailMode, ""
		if mode == "" {
			mode, from = m.FailMode, ", which is that of "+m.Origin()+","
		}
		if mode == "open" && p.AllowFailOpen {
			l.record(CodeFailOpen, p, "fail_mode", fmt.Sprintf("fail_mode open%s on plugin %q, which authenticates", from, p.Name), "")
		}
	}
}

// texts reports secrets that stand in the file, and references to secrets that nobody reads.
func (l *linter) texts() {
	add := func(code, found string, texts []config.ConfigText) {
		for _, s := range texts {
			if l.Unknown[s.Plugin.Name] {
				continue // its schema says nothing
			}
			path, pos := s.Plugin.Path+".config", s.Plugin.Pos
			for _, step := range s.At {
				path = config.JoinPath(path, step)
			}
			if s.Plugin.At != nil {
				pos = s.Plugin.At(s.At)
			}
			l.add(code, path, pos, fmt.Sprintf(found, strings.Join(s.At, "."), s.Plugin.Name), "")
		}
	}
	add(CodePlainSecret, "the secret %s of plugin %q in plain text", config.PlainSecrets(l.Written, l.Catalog, l.Vault))
	add(CodeUnreadReference, "a reference to a secret in %s of plugin %q, which may not hold one", config.UnreadReferences(l.Written, l.Catalog, l.Vault))
	add(CodeUnreadReference, "a reference to a secret among other text in %s of plugin %q, where nobody reads it", config.PartReferences(l.Written, l.Catalog, l.Vault))
}

// maxPlans bounds how many plans are built to find shadowed records. Records that are left over count as used.
const maxPlans = 200_000

// shadowed finds the records that no plan has which they could be in.
func (l *linter) shadowed() {
	s := &shadows{linter: l, used: map[*entity.Plugin]bool{}, byService: map[*entity.Service][]*entity.Route{}, otherwise: l.otherwise}
	seen := map[*plan.Plan]bool{}
	for _, r := range l.Set.Routes {
		if r.Service != nil && !r.Service.Enabled {
			continue
		}
		s.all = append(s.all, r)
		s.byService[r.Service] = append(s.byService[r.Service], r)
		if p := l.Plans.ForRoute(r, false); !seen[p] {
			seen[p] = true
			s.different = append(s.different, r) // routes with the same plan have all plans in common
			s.use(p)
		}
		if p := l.Plans.ForRoute(r, true); !seen[p] {
			seen[p] = true
			s.different = append(s.different, r)
			s.use(p)
		}
	}
	s.different = slices.Compact(s.different)
	for _, p := range l.Set.Plugins {
		if p = p.Root(); p.Enabled && !s.used[p] && !l.global(p) {
			s.check(p)
			s.used[p] = true // it was looked at
		}
	}
}

// global reports whether a record has work in requests without a route too, or could have.
func (l *linter) global(p *entity.Plugin) bool {
	if p.Route != nil || p.Service != nil || p.Consumer != nil || p.ConsumerGroup != nil {
		return false
	}
	m := l.manifest(p)
	return m == nil || slices.ContainsFunc(m.Phases, func(phase string) bool { return phase != "access" && phase != "response" })
}
