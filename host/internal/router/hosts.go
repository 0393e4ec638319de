package router

import (
	"fmt"
	"strconv"
	"strings"
)

// hostPattern is one host of a route, or one of its snis. Exactly one of exact, suffix and prefix is set.
type hostPattern struct {
	exact  string
	suffix string // of *.x: ".x"
	prefix string // of x.*: "x."
	port   int    // 0: any port
}

// parseHost reads a host with an optional port and at most one wildcard, the whole first or the whole last label.
func parseHost(s string) (hostPattern, error) {
	var p hostPattern
	name := lower(s)
	if host, port, ok := cutPort(name); ok {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return p, fmt.Errorf("host %q: port %q must be a number from 1 to 65535", s, port)
		}
		name, p.port = host, int(n)
	}
	switch {
	case strings.HasPrefix(name, "*."):
		p.suffix = name[1:]
	case strings.HasSuffix(name, ".*"):
		p.prefix = name[:len(name)-1]
	default:
		p.exact = name
	}
	if rest := p.exact + p.suffix + p.prefix; rest == "" || rest == "." || strings.Contains(rest, "*") {
		return p, fmt.Errorf("host %q: expected a name with at most one wildcard, *.name or name.*", s)
	}
	return p, nil
}

// cutPort splits host:port. A host with several colons is an IPv6 address and has a port only after brackets.
func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.IndexByte(s, ':') < i && !strings.HasSuffix(s[:i], "]") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// wildcard reports whether the pattern has one.
func (p hostPattern) wildcard() bool { return p.exact == "" }

// matches compares a lower-case name without port.
func (p hostPattern) matches(name string) bool {
	switch {
	case p.suffix != "":
		return len(name) > len(p.suffix) && strings.HasSuffix(name, p.suffix)
	case p.prefix != "":
		return strings.HasPrefix(name, p.prefix)
	}
	return name == p.exact
}

// root is where a trie starts.
type root struct {
	best uint64 // the smallest order in the trie; noOrder: there is no trie
	node uint32
}

// noOrder is larger than any order.
const noOrder = ^uint64(0)

// hostIndex finds the tries of a host. A wildcard is found by looking up every suffix (prefix) of the host that starts (ends) at a
// dot and is no longer than the longest one known, so the cost is bounded by configuration and not by the length of the host sent.
type hostIndex struct {
	exact, suffix, prefix      map[string]root
	longestSuffix, longestPref int
	any                        root
}

// roots walks over the tries that apply to one host.
type roots struct {
	index *hostIndex
	host  string
	stage uint8
	at    int
	root  root // the current one
}

const (
	stageExact uint8 = iota
	stageSuffix
	stagePrefix
	stageAny
	stageEnd
)

func (h *hostIndex) lookup(host string) roots {
	return roots{index: h, host: host}
}

// next moves to the next trie.
func (r *roots) next() bool {
	for ; r.stage < stageEnd; r.stage, r.at = r.stage+1, 0 {
		switch r.stage {
		case stageExact:
			if r.at == 0 {
				r.at = 1
				if root, ok := r.index.exact[r.host]; ok {
					r.root = root
					return true
				}
			}
		case stageSuffix:
			if r.nextSuffix() {
				return true
			}
		case stagePrefix:
			if r.nextPrefix() {
				return true
			}
		case stageAny:
			r.stage = stageEnd
			r.root = r.index.any
			return r.root.best != noOrder
		}
	}
	return false
}

// nextSuffix goes through the dots of the host from the left, starting where a known suffix may.
func (r *roots) nextSuffix() bool {
	if len(r.index.suffix) == 0 {
		return false
	}
	if r.at == 0 {
		r.at = max(1, len(r.host)-r.index.longestSuffix)
	}
	for r.at < len(r.host) {
		dot := strings.IndexByte(r.host[r.at:], '.')
		if dot < 0 {
			return false
		}
		from := r.at + dot
		r.at = from + 1
		if root, ok := r.index.suffix[r.host[from:]]; ok {
			r.root = root
			return true
		}
	}
	return false
}

// nextPrefix goes through the dots of the host from the left, up to where the longest known prefix ends.
func (r *roots) nextPrefix() bool {
	if len(r.index.prefix) == 0 {
		return false
	}
	end := min(len(r.host), r.index.longestPref)
	for r.at < end {
		dot := strings.IndexByte(r.host[r.at:end], '.')
		if dot < 0 {
			return false
		}
		r.at += dot + 1
		if root, ok := r.index.prefix[r.host[:r.at]]; ok {
			r.root = root
			return true
		}
	}
	return false
}

// hostBuilder files candidates under their hosts.
type hostBuilder struct {
	exact, suffix, prefix map[string]*trieBuilder
	any                   *trieBuilder
}

func newHostBuilder() *hostBuilder {
	return &hostBuilder{exact: map[string]*trieBuilder{}, suffix: map[string]*trieBuilder{}, prefix: map[string]*trieBuilder{}}
}

// add files one candidate. Candidates come in the order of their priority; rank is the place of this one.
func (b *hostBuilder) add(c *candidate, rank int) {
	if len(c.hosts) == 0 {
		if b.any == nil {
			b.any = &trieBuilder{}
		}
		b.any.addPaths(c, rank, 0)
		return
	}
	for _, h := range c.hosts {
		m, key := b.exact, h.exact
		switch {
		case h.suffix != "":
			m, key = b.suffix, h.suffix
		case h.prefix != "":
			m, key = b.prefix, h.prefix
		}
		t := m[key]
		if t == nil {
			t = &trieBuilder{}
			m[key] = t
		}
		t.addPaths(c, rank, h.port)
	}
}

// build freezes the tries.
func (b *hostBuilder) build() (hostIndex, trie) {
	var f frozen
	index := hostIndex{any: root{best: noOrder}}
	freeze := func(from map[string]*trieBuilder) (to map[string]root, longest int) {
		to = make(map[string]root, len(from))
		for key, tb := range from {
			to[key] = f.add(tb)
			longest = max(longest, len(key))
		}
		return to, longest
	}
	index.exact, _ = freeze(b.exact)
	index.suffix, index.longestSuffix = freeze(b.suffix)
	index.prefix, index.longestPref = freeze(b.prefix)
	if b.any != nil {
		index.any = f.add(b.any)
	}
	return index, f.trie()
}
