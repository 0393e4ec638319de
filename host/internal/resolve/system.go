package resolve

import (
	"net"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// lookEvery is how often the files of the system are looked at, as in Go's own resolver.
const lookEvery = 5 * time.Second

// watched is a file that is read again when it has changed.
type watched struct {
	path   string
	looked time.Time
	seen   os.FileInfo // of the file that was read; nil: none was
}

// changed reports whether the file is another one than at the last call, and looks at most that often. A file that is not there has not changed: what was
// read of it stays.
func (w *watched) changed(now time.Time) bool {
	if w.seen != nil && now.Sub(w.looked) < lookEvery {
		return false
	}
	w.looked = now
	st, err := os.Stat(w.path)
	if err != nil {
		return false
	}
	before := w.seen
	w.seen = st
	return before == nil || !os.SameFile(before, st) || !st.ModTime().Equal(before.ModTime()) || st.Size() != before.Size()
}

// unread says that the file could not be read: it counts as changed at the next call.
func (w *watched) unread() { w.seen = nil }

// system asks the name servers that the system says, which may be others tomorrow: a laptop, a machine whose lease is renewed.
type system struct {
	mu     sync.Mutex
	file   watched
	client *client // as the file says
}

// now is the client for the name servers of now. A file that names none while it is written does not count.
func (s *system) now() *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file.changed(time.Now()) {
		settings, err := dns.ClientConfigFromFile(s.file.path)
		switch {
		case err != nil:
			s.file.unread()
		case len(settings.Servers) > 0 || s.client == nil:
			s.client = systemClient(settings)
		}
	}
	if s.client == nil {
		return systemClient(unsaid())
	}
	return s.client
}

func systemClient(settings *dns.ClientConfig) *client {
	var servers []string
	for _, s := range settings.Servers {
		servers = append(servers, net.JoinHostPort(s, settings.Port))
	}
	if len(servers) == 0 {
		servers = []string{"127.0.0.1:53"} // as every resolver does without the file
	}
	return newClient(servers, settings)
}
