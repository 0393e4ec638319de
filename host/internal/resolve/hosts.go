package resolve

import (
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// hostsTTL is how long an answer of the hosts file is kept.
const hostsTTL = 5 * time.Second

// hosts is a hosts file. It is read again when it has changed.
type hosts struct {
	mu    sync.Mutex
	file  watched
	names map[string][]netip.Addr
}

// lookup finds the addresses of a name; none when the file does not know it, or was never there.
func (h *hosts) lookup(host string) []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file.changed(time.Now()) {
		text, err := os.ReadFile(h.file.path)
		if err == nil {
			h.names = parseHosts(string(text))
		} else {
			h.file.unread()
		}
	}
	return h.names[strings.TrimSuffix(host, ".")]
}

// parseHosts reads lines of an address and names in lower case. What is no address is left out.
func parseHosts(text string) map[string][]netip.Addr {
	names := map[string][]netip.Addr{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, f := range fields[1:] {
			f = strings.ToLower(strings.TrimSuffix(f, "."))
			names[f] = append(names[f], addr)
		}
	}
	return names
}

// ofFamilies are the addresses of the first family of the order that has some; all when the order names no family.
func ofFamilies(addrs []netip.Addr, order []uint16) []Record {
	for _, kind := range order {
		var list []Record
		for _, a := range addrs {
			if kind == dns.TypeA && a.Unmap().Is4() || kind == dns.TypeAAAA && !a.Unmap().Is4() {
				list = append(list, Record{Addr: a.Unmap()})
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	var all []Record
	for _, a := range addrs {
		all = append(all, Record{Addr: a.Unmap()})
	}
	return all
}
