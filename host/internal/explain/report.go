package explain

import (
	"fmt"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
)

// Report is what the gateway would do with a request. docs/guides/explain.md documents its JSON form.
type Report struct {
	Request  Request   `json:"request"`
	Route    *Route    `json:"route"`  // null: none matches, and the answer is 404
	Losers   []Loser   `json:"losers"` // those that match too first, then those that miss least
	Consumer *Consumer `json:"consumer"`
	Plugins  *Plugins  `json:"plugins"`
	Warnings []Warning `json:"warnings"`
}

// Request is the request as the router sees it.
type Request struct {
	Method   string `json:"method"`
	Scheme   string `json:"scheme"`
	Host     string `json:"host"`
	Port     int    `json:"port"` // of the Host header, or of the listener
	Path     string `json:"path"` // normalised
	SNI      string `json:"sni,omitempty"`
	ClientIP string `json:"client_ip"`
}

// Named is an entity in a report.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Pos  string `json:"position,omitempty"` // file:line:column
}

func (n *Named) label() string {
	if n.Name != "" {
		return n.Name
	}
	return n.ID
}

// Route is the route that is chosen.
type Route struct {
	Named
	Service     *Named            `json:"service"`      // null: a plugin must answer
	MatchedPath string            `json:"matched_path"` // the literal path, or what the regex matched; empty for a route without paths
	Captures    map[string]string `json:"captures,omitempty"`
	// Answer is the status by which the route answers a request of another protocol: it is for https alone, or for gRPC. The request does not come to
	// access.
	Answer int  `json:"answer,omitempty"`
	GRPC   bool `json:"-"` // the route is for gRPC
}

// Loser is a route that is not chosen.
type Loser struct {
	Named
	Matches bool   `json:"matches"`
	Missed  []Miss `json:"missed,omitempty"` // attributes that the request does not fit
	// Rule is the rule of priority by which a route that matches loses, with what it and the route that is chosen have there.
	Rule    router.Rule `json:"rule,omitempty"`
	Has     string      `json:"has,omitempty"`
	Against string      `json:"against,omitempty"`
	Reason  string      `json:"reason"` // the same in words
}

// Miss is an attribute that a request does not fit.
type Miss struct {
	Attribute string `json:"attribute"`
	Found     string `json:"found"`
	Expected  string `json:"expected"`
}

// Consumer is who the request comes from, once a plugin has found that out.
type Consumer struct {
	Named
	Groups []string `json:"groups"` // in the order in which they are tried
}

// Warning is something that is allowed and most likely a mistake.
type Warning struct {
	Code    string `json:"code"`
	Pos     string `json:"position"`
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Explain answers a query from a generation. A mistake in the query is a *QueryError.
func Explain(g *generation.Generation, q Query) (*Report, error) {
	r, err := q.read(g)
	if err != nil {
		return nil, err
	}
	found := g.Router.Explain(&r.router)
	report := &Report{Request: requestOf(r), Losers: losersOf(&found), Consumer: consumerOf(r), Warnings: warningsOf(g.Plans.Warnings())}
	if found.Found {
		report.Route = routeOf(&found.Match)
		r.route = found.Match.Route
		report.Route.Answer = r.turnedAway()
		r.facts.Route, r.facts.Service = g.RouteDoc(r.route), g.ServiceDoc(r.route.Service)
	}
	report.Plugins = pluginsOf(g.Plans, r)
	return report, nil
}

func requestOf(r *request) Request {
	port := r.router.HostPort
	if port == 0 {
		port = r.router.ListenPort
	}
	return Request{
		Method: r.router.Method, Scheme: r.router.Scheme, Host: r.router.Host, Port: port, Path: r.router.Path, SNI: r.router.SNI,
		ClientIP: r.facts.Client.IP,
	}
}

func routeOf(m *router.Match) *Route {
	r := &Route{Named: named(m.Route.ID, m.Route.Name, m.Route.Pos), MatchedPath: m.MatchedPath, GRPC: m.Route.ForGRPC()}
	if s := m.Route.Service; s != nil {
		n := named(s.ID, s.Name, s.Pos)
		r.Service = &n
	}
	for i, c := range m.Captures.Unnamed {
		if r.Captures == nil {
			r.Captures = map[string]string{}
		}
		r.Captures[fmt.Sprint(i+1)] = c
	}
	for _, c := range m.Captures.Named {
		r.Captures[c.Name] = c.Value
	}
	return r
}

func named(id, name string, pos entity.Pos) Named {
	return Named{ID: id, Name: name, Pos: pos.String()}
}

func losersOf(x *router.Explanation) []Loser {
	all := make([]Loser, 0, len(x.Losers))
	for i := range x.Losers {
		l := &x.Losers[i]
		out := Loser{
			Named: named(l.Route.ID, l.Route.Name, l.Route.Pos), Matches: len(l.Missed) == 0, Rule: l.Rule, Has: l.Ours, Against: l.Winners, Reason: reasonOf(l),
		}
		for _, m := range l.Missed {
			out.Missed = append(out.Missed, Miss(m))
		}
		all = append(all, out)
	}
	return all
}

// rules says what a rule of priority prefers.
var rules = map[router.Rule]string{
	router.RuleExpression:    "has no expression, and expressions go first",
	router.RulePriority:      "has a smaller priority",
	router.RuleWeight:        "sets attributes of less weight (host 64, headers 32, path 16, method 8, SNI 4)",
	router.RuleKind:          "is of a kind that goes later (wildcard host with a port 4, plain hosts 2, regex path 1)",
	router.RuleUUID:          "has a smaller UUID, all else being equal",
	router.RuleAttributes:    "sets fewer of methods, hosts, headers, snis and paths",
	router.RulePlainHosts:    "has a host with a wildcard",
	router.RuleHeaders:       "names fewer headers",
	router.RuleRegex:         "has a literal path, and a regex goes first",
	router.RuleRegexPriority: "has a smaller regex_priority",
	router.RulePathLength:    "has a shorter path",
	router.RulePathMatch:     "has a looser path_match",
	router.RuleCreated:       "is younger (created_at), all else being equal",
	router.RuleID:            "has a larger id, all else being equal",
}

func reasonOf(l *router.Loser) string {
	if len(l.Missed) == 0 {
		reason := "matches, but " + rules[l.Rule]
		switch l.Rule {
		case router.RuleExpression, router.RulePlainHosts, router.RuleRegex, router.RuleUUID, router.RuleID:
			return reason
		}
		return reason + ": " + l.Ours + " against " + l.Winners
	}
	words := make([]string, len(l.Missed))
	for i, m := range l.Missed {
		found := m.Found
		if found == "" {
			found = "nothing"
		}
		words[i] = m.Attribute + ": found " + found + ", expected " + m.Expected
	}
	return strings.Join(words, "; ")
}

func consumerOf(r *request) *Consumer {
	if r.consumer == nil && len(r.groups) == 0 {
		return nil
	}
	c := &Consumer{Groups: []string{}}
	if r.consumer != nil {
		c.Named = named(r.consumer.ID, r.consumer.Username, r.consumer.Pos)
	}
	for _, g := range r.allGroups() {
		c.Groups = append(c.Groups, g.Name)
	}
	return c
}

func warningsOf(all []plan.Warning) []Warning {
	out := make([]Warning, 0, len(all))
	for _, w := range all {
		out = append(out, Warning{Code: w.Code, Pos: w.Pos.String(), Path: w.Path, Message: w.Message})
	}
	return out
}
