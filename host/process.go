package host

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
)

// Process is what the program that a host runs in does with its process: where sockets come from, and how another process takes over.
type Process interface {
	// Listen gives the socket of an address of a setting. Open opens it if the process was not started with it.
	Listen(setting, address string, open func() (net.Listener, error)) (net.Listener, error)
	// Upgrades reports whether this process is to replace an older one.
	Upgrades() bool
	// Needs reports whether the host may only start with this plugin server ready: it is, in the process that this one is to replace.
	Needs(server string) bool
	// Upgrade has a new process take over, and returns when it serves; this host is retired then. Ready are the plugin servers that are ready in it.
	Upgrade(ready []string) (pid int, version string, err error)
}

// socket gives the socket of an address of a setting.
func (h *Host) socket(setting, address string, open func() (net.Listener, error)) (net.Listener, error) {
	if h.opts.Process == nil {
		return open()
	}
	return h.opts.Process.Listen(setting, address, open)
}

// upgrades reports whether this process is to replace one that serves.
func (h *Host) upgrades() bool { return h.opts.Process != nil && h.opts.Process.Upgrades() }

// needServers is an error when a plugin server is not ready and has to be. A start goes on without it; an upgrade would be for the worse.
func (h *Host) needServers() error {
	if h.opts.Process == nil {
		return nil
	}
	var errs []error
	for _, s := range h.servers.all.Ready() {
		if !s.Ready && h.opts.Process.Needs(s.Server) {
			errs = append(errs, fmt.Errorf("plugin server %q is %s (%s), and ready in the process that this one is to replace", s.Server, s.State, s.Reason))
		}
	}
	return errors.Join(errs...)
}

// ReadyServers are the plugin servers that take calls.
func (h *Host) ReadyServers() []string {
	list := []string{}
	if servers := h.watchedServers(); servers != nil {
		for _, s := range servers.all.Ready() {
			if s.Ready {
				list = append(list, s.Server)
			}
		}
	}
	return list
}

// watchedServers are the plugin servers; nil before they are started and after they have ended.
func (h *Host) watchedServers() *servers {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	return h.servers
}

// UpgradeTimeout is how long an upgrade may take.
func (h *Host) UpgradeTimeout() time.Duration { return h.settings.UpgradeTimeout }

// EndTimeout is how long a gateway with these settings may take to end: its requests, and then its plugins.
func (h *Host) EndTimeout() time.Duration {
	return h.settings.DrainDelay + h.settings.DrainTimeout + closeTime
}

// Upgrade implements admin.Gateway.
func (o operator) Upgrade() (admin.Upgraded, error) {
	if o.opts.Process == nil {
		return admin.Upgraded{}, &admin.Refusal{Status: http.StatusNotImplemented, Err: errors.New("this gateway runs in a program that cannot be upgraded, such as outrigger dev")}
	}
	if o.stopping() {
		return admin.Upgraded{}, &admin.Refusal{Status: http.StatusServiceUnavailable, Err: errStopping}
	}
	pid, version, err := o.opts.Process.Upgrade(o.ReadyServers())
	return admin.Upgraded{PID: pid, Version: version}, err
}

// traffic is what clients do now, and have done.
func (h *Host) traffic() admin.Traffic {
	s := h.sight.source.Load()
	if s == nil {
		return admin.Traffic{}
	}
	n := s.proxy.Statistics()
	return admin.Traffic{
		Accepted: n.Accepted, Handled: n.Handled, Requests: n.Requests,
		Active: n.Active, Reading: n.Reading, Writing: n.Writing, Waiting: n.Waiting,
	}
}
