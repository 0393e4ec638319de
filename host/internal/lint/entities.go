package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// services looks at services, and at the upstreams that they use.
func (l *linter) services() {
	routes := map[*entity.Service]int{}
	most := map[*entity.Upstream]*entity.Service{} // which sends a request again most often
	for _, r := range l.Set.Routes {
		if r.Service != nil {
			routes[r.Service]++
		}
	}
	var upstreams []string
	for _, u := range l.Set.Upstreams {
		upstreams = append(upstreams, u.Name)
		l.wayBack(u)
	}
	for _, s := range l.Set.Services {
		if !s.Enabled {
			continue
		}
		name := label(s.Name, s.ID)
		if routes[s] == 0 {
			l.at(CodeServiceUnused, s, nil, fmt.Sprintf("service %s without routes", name), "")
		}
		if u := s.Upstream; u != nil && s.Retries > 0 && (most[u] == nil || s.Retries > most[u].Retries) {
			most[u] = s
		}
		switch {
		case s.Upstream != nil:
			if !slices.ContainsFunc(s.Upstream.Targets, func(t *entity.Target) bool { return t.Weight > 0 }) {
				_, pos, _ := l.Places.Find(s.Upstream)
				l.at(CodeUpstreamEmpty, s, []string{"host"}, fmt.Sprintf("service %s for upstream %q in line %d, which has no target with a weight", name, s.Upstream.Name, pos.Line), "")
			}
		case local(s.Host):
			if near := nearest.Name(s.Host, upstreams); near != "" {
				l.at(CodeMissingUpstream, s, []string{"host"}, fmt.Sprintf("service %s for host %q, while there is an upstream %q", name, s.Host, near), fmt.Sprintf("write %q", near))
			}
		}
	}
	for u, s := range most {
		l.unbounded(u, s)
	}
}

// unbounded looks for statuses that are answered with more load; s is the service that uses the upstream and sends a request again most often. A budget of
// all requests bounds nothing.
func (l *linter) unbounded(u *entity.Upstream, s *entity.Service) {
	if len(u.RetryOn) == 0 || u.Budget != nil && u.Budget.Percent < 100 {
		return
	}
	l.at(CodeRetriesUnbounded, u, []string{"retry_on"}, fmt.Sprintf("upstream %q, to which service %s may send a request %d times (retries %d), and no bound for all of them together",
		u.Name, label(s.Name, s.ID), 1+s.Retries, s.Retries), "")
}

// wayBack looks for targets that checks take away and nothing brings back.
func (l *linter) wayBack(u *entity.Upstream) {
	active := &u.Health.Active
	counts := func(f *entity.Failures) bool { return f.TCP > 0 || f.Timeouts > 0 || f.HTTP > 0 }
	takes := counts(&u.Health.Passive.Unhealthy) || active.Healthy.Interval > 0 && counts(&active.Unhealthy)
	if takes && (active.Unhealthy.Interval == 0 || active.Healthy.Successes == 0) {
		l.at(CodeUpstreamNoWayBack, u, []string{"healthchecks"}, fmt.Sprintf("upstream %q, whose targets become unhealthy and nothing makes them healthy again", u.Name), "")
	}
}

// local reports whether a host is a single word, which is no domain.
func local(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && host != "localhost" && !strings.Contains(host, ".")
}

func label(name, id string) string {
	if name != "" {
		return fmt.Sprintf("%q", name)
	}
	return id
}

// consumers looks for those that nobody can be. When a plugin that is not ours authenticates, its credentials are not known.
func (l *linter) consumers() {
	kinds := map[string]bool{}
	anonymous := map[string]bool{}
	for _, p := range l.Set.Plugins {
		if !active(p) {
			continue
		}
		m := l.manifest(p)
		if m == nil {
			return
		}
		if !m.Authenticates {
			continue
		}
		kind := native(m)
		if m.Server != "" || kind != "key-auth" && kind != "basic-auth" {
			return
		}
		kinds[kind] = true
		if name, ok := p.Config["anonymous"].(string); ok {
			anonymous[name] = true
		}
	}
	if len(kinds) == 0 {
		return
	}
	has := map[*entity.Consumer]bool{}
	if kinds["key-auth"] {
		for _, k := range l.Set.KeyAuths {
			has[k.Consumer] = true
		}
	}
	if kinds["basic-auth"] {
		for _, k := range l.Set.BasicAuths {
			has[k.Consumer] = true
		}
	}
	var names []string
	for _, kind := range []string{"basic-auth", "key-auth"} {
		if kinds[kind] {
			names = append(names, kind)
		}
	}
	for _, c := range l.Set.Consumers {
		if !has[c] && !anonymous[c.ID] && (c.Username == "" || !anonymous[c.Username]) {
			l.at(CodeNoCredentials, c, nil, fmt.Sprintf("consumer %s without a credential for %s", label(c.Username, c.ID), strings.Join(names, " or ")), "")
		}
	}
}
