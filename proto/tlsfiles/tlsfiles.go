// Package tlsfiles keeps a TLS configuration that is made of files, and makes it anew when they change. Both ends of the connection between
// host and plugin server use it.
package tlsfiles

import (
	"crypto/tls"
	"os"
	"slices"
	"sync"
)

// Config is a configuration that follows its files. They are looked at each time it is asked for, which is at every handshake: a renewed
// certificate is used from the next connection on. Files that cannot be used, such as half of a renewal, change nothing.
type Config struct {
	paths []string
	load  func() (*tls.Config, error)
	told  func(err error)

	mu   sync.Mutex
	seen []os.FileInfo // of paths when they were looked at last
	conf *tls.Config
}

// Load loads a configuration that is made of the files at paths. told hears of each change of them once: of the error of load, or nil when the
// new ones are in use.
func Load(load func() (*tls.Config, error), told func(err error), paths ...string) (*Config, error) {
	c := &Config{paths: paths, load: load, told: told}
	c.seen = c.look()
	var err error
	c.conf, err = load()
	return c, err
}

// Current is the configuration of the files as they are now. It is shared: change a clone of it.
func (c *Config) Current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.look()
	if slices.EqualFunc(seen, c.seen, sameFile) {
		return c.conf
	}
	c.seen = seen // what cannot be used is told once, not at every handshake
	conf, err := c.load()
	if err == nil {
		c.conf = conf
	}
	c.told(err)
	return c.conf
}

// look finds out which files are there; nil for one that is not.
func (c *Config) look() []os.FileInfo {
	seen := make([]os.FileInfo, len(c.paths))
	for i, path := range c.paths {
		if info, err := os.Stat(path); err == nil {
			seen[i] = info
		}
	}
	return seen
}

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
