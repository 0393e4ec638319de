// Package handover passes the sockets of listeners from a process of the gateway to the one that replaces it, and takes those that systemd has opened.
//
// At an upgrade the old process starts the program again (Upgrade). The new one inherits the sockets, and a pipe on which it tells its version when it
// serves (Ready). The old one decides then, and tells it on a second pipe: at no time do both think that they stay, or that the other one does. Both accept
// connections from the same sockets, so none is refused or reset; the old process closes its own copies, ends its connections and goes. A new process that
// ends or is late before it has told anything changes nothing.
//
// A socket is named by the setting and the address that it is for. A new process whose settings name another address opens that, and closes what it does
// not need.
package handover

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Sockets are those of this process. Several goroutines may use them at once.
type Sockets struct {
	logger *slog.Logger
	needed []string // plugin servers that are ready in the older process; see Needs
	older  bool     // there is one

	mu        sync.Mutex
	given     []*given // nobody has asked for them yet
	open      []*socket
	answer    *os.File      // to the older process; nil: there is none, or it has been told
	verdict   *os.File      // of the older process, as long as answer is there
	underway  chan struct{} // closed when the upgrade under way is over; nil: none is
	hurry     chan struct{} // closed when it is to be over at once
	hurried   bool
	successor *Successor // nil: none has taken over
}

// name of a socket, as the older process tells it.
type name struct {
	Setting string `json:"setting"` // such as proxy_listen
	Address string `json:"address"` // as the setting says it
	// Systemd opened it: it outlives all processes of the gateway.
	Systemd bool `json:"systemd,omitempty"`
}

// given is a socket that this process was started with. One that systemd gave to this very process has no setting yet.
type given struct {
	name
	file *os.File
	addr net.Addr
}

// socket is in use.
type socket struct {
	name
	ln net.Listener
}

// Take takes the sockets that this process was started with: from an older process of the gateway, or from systemd, or none.
func Take(logger *slog.Logger) (*Sockets, error) {
	s := &Sockets{logger: logger}
	text, inherits := os.LookupEnv(variable)
	_ = os.Unsetenv(variable)
	if inherits {
		if err := s.inherit(text); err != nil {
			return nil, fmt.Errorf("taking the sockets of the process that this one is to replace: %w", err)
		}
		return s, nil
	}
	if err := s.activated(); err != nil {
		return nil, fmt.Errorf("taking the sockets of systemd: %w", err)
	}
	return s, nil
}

// Upgrades reports whether this process is to replace an older one.
func (s *Sockets) Upgrades() bool { return s.older }

// Needs reports whether a plugin server has to be ready before this process may replace the older one, in which it is.
func (s *Sockets) Needs(server string) bool { return slices.Contains(s.needed, server) }

// Listen gives the socket of an address of a setting: the one that this process was started with, or else what open opens.
func (s *Sockets) Listen(setting, address string, open func() (net.Listener, error)) (net.Listener, error) {
	ln, systemd, err := s.find(setting, address)
	if err != nil {
		return nil, err
	}
	if ln == nil {
		if ln, err = open(); err != nil {
			if s.older && errors.Is(err, syscall.EADDRINUSE) {
				err = fmt.Errorf("%w; where the process that this one is to replace listens, an address can neither widen nor move to another setting: that needs a restart", err)
			}
			return nil, err
		}
	}
	if _, ok := ln.(syscall.Conn); !ok {
		return nil, errors.Join(fmt.Errorf("found a %T, expected a socket", ln), ln.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, &socket{name{setting, address, systemd}, ln})
	return ln, nil
}

// find opens the socket that was given for an address; nil: there is none.
func (s *Sockets) find(setting, address string) (ln net.Listener, systemd bool, err error) {
	g := s.take(setting, address)
	if g == nil {
		return nil, false, nil
	}
	defer g.file.Close()
	if !g.Systemd && lost(g.addr) { // the file of one of systemd may be where this process cannot see it, such as outside of PrivateTmp=
		s.logger.Warn("the file of a socket is gone: the socket is opened anew", "setting", setting, "address", address)
		return nil, false, nil
	}
	if ln, err = net.FileListener(g.file); err != nil {
		return nil, false, fmt.Errorf("the socket that this process was started with: %w", err)
	}
	return ln, g.Systemd, nil
}

// take takes a socket out of those that were given; nil: it is not among them. An address may have been written in another way.
func (s *Sockets) take(setting, address string) *given {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.given, func(g *given) bool { return g.Setting == setting && g.Address == address })
	if i < 0 {
		i = slices.IndexFunc(s.given, func(g *given) bool { return (g.Setting == "" || g.Setting == setting) && same(g.addr, address) })
	}
	if i < 0 {
		return nil
	}
	g := s.given[i]
	s.given = slices.Delete(s.given, i, i+1)
	return g
}

// lost reports whether nobody can connect to a unix socket any more, because its file was removed.
func lost(addr net.Addr) bool {
	u, ok := addr.(*net.UnixAddr)
	if !ok || strings.HasPrefix(u.Name, "@") {
		return false
	}
	_, err := os.Lstat(u.Name)
	return errors.Is(err, fs.ErrNotExist)
}

// Ready says that this process serves, and returns when the older one, if there is one, has given it its place. Sockets that no setting wants are closed;
// one of systemd is an error: clients would wait on it for ever.
func (s *Sockets) Ready(version string) error {
	s.mu.Lock()
	unwanted, answer := s.given, s.answer
	s.mu.Unlock()
	for _, g := range unwanted {
		if g.Setting == "" {
			return fmt.Errorf("systemd gave the socket %s, and no setting has that address; expected it in proxy_listen, admin_listen or status_listen", g.addr)
		}
	}
	if answer != nil {
		if err := s.takeOver(version, answer); err != nil {
			return fmt.Errorf("taking over from the older process: %w", err)
		}
	}
	for _, g := range unwanted {
		s.logger.Info("a socket of the older process is not in the settings any more: it is closed", "setting", g.Setting, "address", g.Address)
		if path, unix := strings.CutPrefix(g.Address, "unix://"); unix && !g.Systemd {
			_ = os.Remove(path)
		}
		_ = g.file.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given, s.answer = nil, nil
	// From now on the files of these sockets are this process's to remove.
	s.unlink(true)
	return nil
}

// unlink says whether closing a unix socket removes its file. One of systemd is systemd's.
func (s *Sockets) unlink(remove bool) {
	for _, o := range s.open {
		if u, ok := o.ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(remove && !o.Systemd)
		}
	}
}
