package examples

import (
	"fmt"
	"slices"
	"strings"
)

// phasesOf is what the plugins trail-* do in each phase: numbers with the scope of the record, "3/ada" or only "3" for the record of all.
type phasesOf struct {
	rewrite, access, header, body string
}

// everywhere is a chain that is the same in all phases but rewrite, where only the plugins in Go have the records of all.
func everywhere(rewrite, chain string) phasesOf { return phasesOf{rewrite, chain, chain, chain} }

// caller is who asks, and how.
type caller struct {
	route string // open, key or login
	who   string // "" on the route open
	kind  string // of the header X-Kind
}

func (c caller) String() string { return fmt.Sprintf("%s as %q of kind %s", c.route, c.who, c.kind) }

// path and headers make the request of a caller.
func (c caller) path() string { return "/" + c.route }

func (c caller) headers() []string {
	h := []string{"X-Kind", c.kind}
	switch c.route {
	case "key":
		h = append(h, "apikey", c.who)
	case "login":
		h = append(h, "X-User", c.who)
	}
	return h
}

// trailCallers are all callers of the tests.
func trailCallers() []caller {
	var all []caller
	for _, kind := range []string{"a", "b"} {
		all = append(all, caller{"open", "", kind})
		for _, who := range []string{"ada", "bob", "eve"} {
			all = append(all, caller{"key", who, kind})
		}
		for _, who := range []string{"ada", "bob"} {
			all = append(all, caller{"login", who, kind})
		}
	}
	return all
}

// trailConfiguration is one of the configurations between which the tests change. In the text of groups, consumers and plugins, MARK stands for
// the number of the configuration.
type trailConfiguration struct {
	name    string
	groups  string
	people  string
	key     string   // records of the route key, behind key-auth
	plugins []string // each made by rec
	want    func(c caller) phasesOf
}

// rec is the record of one of the plugins trail-*; more are its other fields.
func rec(number int, of string, more ...string) string {
	where := [...]string{1: "native", 2: "go", 3: "native", 4: "go", 5: "python", 6: "js", 7: "native", 8: "go"}[number]
	return fmt.Sprintf("{%s}", strings.Join(append([]string{fmt.Sprintf("name: trail-%d-%s, config: {mark: MARK, of: %s}", number, where, of)}, more...), ", "))
}

// recs are records of all without other fields.
func recs(numbers ...int) []string {
	var all []string
	for _, n := range numbers {
		all = append(all, rec(n, "all"))
	}
	return all
}

// entities is the document of the n-th configuration.
func (t *trailConfiguration) entities(upstream string, n int) string {
	text := routes(upstream+"/MARK",
		"{name: open, paths: [/open]}",
		"{name: key, paths: [/key], plugins: [{name: key-auth, config: {anonymous: guest}}"+t.key+"]}",
		"{name: login, paths: [/login], plugins: [{name: login-go}]}",
	) + "consumer_groups: [" + t.groups + "]\nconsumers: [" + t.people + "]\nplugins:\n- " + strings.Join(t.plugins, "\n- ") + "\n"
	return strings.ReplaceAll(text, "MARK", fmt.Sprint("g", n))
}

// person is a consumer with a key; one of the name eve that is not there is guest to the route key.
func person(name, groups string) string {
	return fmt.Sprintf("{username: %s, custom_id: %s-MARK, groups: [%s], keyauth_credentials: [{key: %s}]}", name, name, groups, name)
}

// steps are what the plugins leave for a chain: "1 3/ada" is 1/all@g7 and 3/ada@g7.
func steps(chain string, n int) []string {
	var all []string
	for _, step := range strings.Fields(chain) {
		if !strings.Contains(step, "/") {
			step += "/all"
		}
		all = append(all, fmt.Sprintf("%s@g%d", step, n))
	}
	return all
}

// trailOf reads the configuration that an answer is of and fails for every trace in it of another one, or of another chain.
func (t trailSet) trailOf(c caller, a *answer) (n int, err error) {
	body, filters, _ := strings.Cut(string(a.body), "\n\n") // the echo ends its JSON with a newline
	e, err := parseEcho(body)
	if a.status != 200 || err != nil {
		return 0, fmt.Errorf("%v: found %v, expected status 200 and an echo: %w", c, a, err)
	}
	if _, err := fmt.Sscanf(e.URI, "/g%d", &n); err != nil {
		return 0, fmt.Errorf("%v: found the path %q at the upstream, expected the mark of the service: %w", c, e.URI, err)
	}
	config := t[n%len(t)]
	want := config.want(c)
	for _, part := range []struct {
		of          string
		found, want []string
	}{
		{"rewrite", e.Headers["x-trail-rewrite"], steps(want.rewrite, n)},
		{"access", e.Headers["x-trail-access"], steps(want.access, n)},
		{"header_filter", a.header.Values("X-Trail"), steps(want.header, n)},
		{"body_filter", strings.Fields(filters), steps(want.body, n)},
		{"the consumer", e.Headers["x-consumer-custom-id"], c.customID(n, config)},
	} {
		if !slices.Equal(part.found, part.want) {
			return n, fmt.Errorf("%v: %s: found %q, expected %q of configuration %d, %q", c, part.of, part.found, part.want, n, config.name)
		}
	}
	return n, nil
}

// customID is what key-auth tells the upstream of the caller; login-go tells it nothing.
func (c caller) customID(n int, t *trailConfiguration) []string {
	switch {
	case c.route != "key":
		return nil
	case !strings.Contains(t.people, "{username: "+c.who):
		return []string{fmt.Sprint("guest-g", n)}
	}
	return []string{fmt.Sprint(c.who, "-g", n)}
}

// trailSet are the configurations that come in turn.
type trailSet []*trailConfiguration

// entities is the document of the n-th configuration.
func (t trailSet) entities(upstream string, n int) string { return t[n%len(t)].entities(upstream, n) }
