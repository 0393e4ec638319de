package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
	"github.com/outrigger-gateway/outrigger/host/internal/echo"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// Addresses are where requests are accepted, host:port.
func (h *Host) Addresses() []string { return h.addresses }

// EchoAddress is where the embedded echo upstream listens; empty when it is off.
func (h *Host) EchoAddress() string { return h.echoAddress }

// AdminAddress is where the Admin listener is, host:port or the path of a socket; empty when it is off.
func (h *Host) AdminAddress() string { return h.adminListen }

// listen opens the listeners. All are open before the first request is served.
func (h *Host) listen() error {
	if h.settings.EchoListen != "" {
		ln, err := h.socket("echo_listen", h.settings.EchoListen, tcp(h.settings.EchoListen))
		if err != nil {
			return fmt.Errorf("echo_listen: %w", err)
		}
		h.echo = echo.New()
		h.echoAddress = ln.Addr().String()
		h.echo.Serve(ln)
	}
	var lns []net.Listener
	for _, a := range h.settings.ProxyListen {
		ln, err := h.socket("proxy_listen", a, tcp(a))
		if err != nil {
			for _, open := range lns {
				_ = open.Close()
			}
			return fmt.Errorf("proxy_listen: %w", err)
		}
		lns = append(lns, ln)
		h.addresses = append(h.addresses, ln.Addr().String())
	}
	for i, ln := range lns {
		if slices.Contains(h.settings.ProxyProtocolListen, h.settings.ProxyListen[i]) {
			h.http.ServeProxied(ln)
		} else {
			h.http.Serve(ln)
		}
	}
	return nil
}

// tcp opens an address, host:port.
func tcp(address string) func() (net.Listener, error) {
	return func() (net.Listener, error) { return net.Listen("tcp", address) }
}

// listenStatus opens the status listener.
func (h *Host) listenStatus() error {
	if h.settings.StatusListen == "" {
		return nil
	}
	ln, err := h.socket("status_listen", h.settings.StatusListen, func() (net.Listener, error) { return admin.Listen(h.settings.StatusListen) })
	if err != nil {
		return fmt.Errorf("status_listen: %w", err)
	}
	h.sight.statusAddress = ln.Addr().String()
	h.logger.Log(context.Background(), telemetry.LevelNotice, "the status listener is open", "address", h.sight.statusAddress)
	h.sight.status = admin.NewStatus(operator{h, h.servers}, h.logger)
	h.sight.status.Serve(ln)
	return nil
}

// StatusAddress is where the status listener is, host:port or the path of a socket; empty when it is off.
func (h *Host) StatusAddress() string { return h.sight.statusAddress }

// listenAdmin opens the Admin listener.
func (h *Host) listenAdmin() error {
	if h.settings.AdminListen == "" {
		return nil
	}
	ln, err := h.socket("admin_listen", h.settings.AdminListen, func() (net.Listener, error) { return admin.Listen(h.settings.AdminListen) })
	if err != nil {
		return fmt.Errorf("admin_listen: %w", err)
	}
	if err := admin.CheckReachable(ln.Addr()); err != nil {
		return fmt.Errorf("admin_listen: %w", errors.Join(err, ln.Close()))
	}
	admin.WarnReachable(ln.Addr(), h.logger)
	h.adminListen = ln.Addr().String()
	h.logger.Log(context.Background(), telemetry.LevelNotice, "the Admin listener is open", "address", h.adminListen)
	h.admin = admin.New(operator{h, h.servers}, h.logger)
	h.admin.Latency = h.settings.Headers.AdminLatency
	h.admin.Serve(ln)
	return nil
}

// Hints are lines for somebody who tries the examples: they are printed when the embedded echo upstream is on.
func (h *Host) Hints() []string {
	if h.echoAddress == "" || len(h.addresses) == 0 {
		return nil
	}
	base := "curl -i http://" + h.addresses[0]
	return []string{
		"echo upstream on " + h.echoAddress + "; try:",
		"  " + base + "/hello -H 'X-Name: you'",
		"  " + base + "/gate/go -H 'X-Deny: 1'      (also /gate/python, /gate/js)",
		"  " + base + "/key                          (401)",
		"  " + base + "/key -H 'apikey: example-key'",
		"  " + base + "/anything",
	}
}
