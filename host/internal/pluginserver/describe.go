package pluginserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// maxLanes bounds what a server may ask for.
const maxLanes = 16

// phases that a manifest may name.
var phases = []string{"rewrite", "access", "response", "header_filter", "body_filter", "log"}

// description is a checked answer to Describe.
type description struct {
	manifests []entity.Manifest
	plane     plane
	lanes     int  // at least 1
	overlap   bool // calls on one lane may overlap
	pid       uint32
	version   uint16 // of the data plane, that both speak
	sdk       string // such as "go 0.1.0"
	// identity changes when another process answers at the same address.
	identity string
}

// plane is where lanes are opened.
type plane struct {
	network, addr string // empty for grpc: the control connection
	token         []byte
}

// describe asks the server what it hosts.
func describe(ctx context.Context, client pluginv1.PluginServerClient, cfg *Config, control address, gatewayVersion string) (*description, error) {
	r, err := client.Describe(ctx, &pluginv1.DescribeRequest{
		ProtocolVersion: wire.Version, MinProtocolVersion: wire.MinVersion, GatewayVersion: gatewayVersion,
	})
	if err != nil {
		return nil, fmt.Errorf("ask what the server hosts (Describe): %w", rpcError(ctx, err))
	}
	version, err := agreedVersion(r, gatewayVersion)
	if err != nil {
		return nil, err
	}
	d := &description{
		version: version,
		lanes:   min(max(int(r.Lanes), 1), maxLanes), overlap: r.Overlapping, pid: r.Pid,
		sdk: strings.TrimSpace(r.SdkLanguage + " " + r.SdkVersion),
	}
	if d.manifests, err = manifests(r.Plugins, cfg.Name); err != nil {
		return nil, err
	}
	if d.plane, err = choosePlane(r.DataPlanes, cfg, control); err != nil {
		return nil, err
	}
	d.identity = fmt.Sprintf("%d %q %q %x", d.pid, d.plane.network, d.plane.addr, d.plane.token)
	return d, nil
}

// agreedVersion is the version of the data plane that the server has chosen.
func agreedVersion(r *pluginv1.DescribeResponse, gatewayVersion string) (uint16, error) {
	if r.ProtocolVersion >= wire.MinVersion && r.ProtocolVersion <= wire.Version {
		return uint16(r.ProtocolVersion), nil
	}
	oldest, newest := max(r.MinProtocolVersion, 1), r.MaxProtocolVersion
	if newest == 0 {
		oldest, newest = r.ProtocolVersion, r.ProtocolVersion
	}
	fix := fmt.Sprintf("use an SDK that speaks version %d, or a gateway that speaks version %d", wire.Version, newest)
	switch {
	case oldest > wire.Version:
		fix = fmt.Sprintf("update the gateway to one that speaks version %d, or use an older SDK", oldest)
	case newest < wire.MinVersion:
		fix = fmt.Sprintf("update the SDK of the server to one that speaks version %d", wire.MinVersion)
	}
	return 0, fmt.Errorf("no common protocol version: the server (%s) speaks %s, this gateway (%s) %s: %s",
		strings.TrimSpace(r.SdkLanguage+" SDK "+r.SdkVersion), versions(oldest, newest), gatewayVersion, versions(wire.MinVersion, wire.Version), fix)
}

func versions(oldest, newest uint32) string {
	if oldest == newest {
		return fmt.Sprint("version ", newest)
	}
	return fmt.Sprintf("versions %d to %d", oldest, newest)
}

// manifests checks what the server says about its plugins.
func manifests(plugins []*pluginv1.PluginManifest, server string) ([]entity.Manifest, error) {
	if len(plugins) == 0 {
		return nil, errors.New("the server hosts no plugin")
	}
	list := make([]entity.Manifest, 0, len(plugins))
	for _, m := range plugins {
		switch {
		case m.Name == "":
			return nil, errors.New("the server hosts a plugin without a name")
		case slices.ContainsFunc(list, func(o entity.Manifest) bool { return o.Name == m.Name }):
			return nil, fmt.Errorf("the server hosts two plugins named %q", m.Name)
		case len(m.Phases) == 0:
			return nil, fmt.Errorf("plugin %q handles no phase", m.Name)
		case len(m.ConfigSchema) > 0 && !json.Valid(m.ConfigSchema):
			return nil, fmt.Errorf("plugin %q: its configuration schema is not JSON", m.Name)
		}
		for _, phase := range m.Phases {
			if !slices.Contains(phases, phase) {
				return nil, fmt.Errorf("plugin %q handles the unknown phase %q, expected one of %s", m.Name, phase, strings.Join(phases, ", "))
			}
		}
		list = append(list, entity.Manifest{
			Name: m.Name, Version: m.Version, Priority: int(m.Priority), Phases: m.Phases, Schema: m.ConfigSchema,
			Authenticates: m.Authenticates, Needs: m.Needs, Server: server,
		})
	}
	return list, nil
}

// choosePlane finds the data plane of the configured carrier; a unix socket goes before TCP, but one of another machine is none of ours.
func choosePlane(planes []*pluginv1.DataPlane, cfg *Config, control address) (plane, error) {
	var found *pluginv1.DataPlane
	var offered []string
	for _, p := range planes {
		if p.Network == "unix" && control.network == "tcp" && !control.loopback() {
			continue
		}
		if !slices.Contains(offered, p.Carrier) {
			offered = append(offered, p.Carrier)
		}
		if p.Carrier == cfg.Carrier && (found == nil || found.Network != "unix" && p.Network == "unix") {
			found = p
		}
	}
	switch {
	case found == nil:
		return plane{}, fmt.Errorf("the server offers no data plane for carrier %q that can be reached from here; it offers %q", cfg.Carrier, offered)
	case cfg.Carrier == CarrierGRPC:
		return plane{token: found.Token}, nil // the Dispatch stream of the control connection
	case found.Network == "unix":
		return plane{"unix", found.Address, found.Token}, nil
	case found.Network != "tcp":
		return plane{}, fmt.Errorf("the server's data plane is on network %q, expected unix or tcp", found.Network)
	}
	addr, err := tcpPlane(found.Address, control)
	if err != nil {
		return plane{}, err
	}
	host, _, _ := net.SplitHostPort(addr)
	if cfg.TLS == nil && !loopbackHost(host) {
		return plane{}, fmt.Errorf("the server's data plane %s is not on this machine: TCP off loopback needs TLS", addr)
	}
	return plane{"tcp", addr, found.Token}, nil
}

// tcpPlane fills in the host of the control address where the data plane leaves it out.
func tcpPlane(addr string, control address) (string, error) {
	if addr == "" {
		if control.network != "tcp" {
			return "", errors.New("the server's tcp data plane has no address, and the control address is no tcp address")
		}
		return control.addr, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("the server's data plane address: %w", err)
	}
	if host == "" {
		if host = control.host(); host == "" {
			host = "127.0.0.1"
		}
	}
	return net.JoinHostPort(host, port), nil
}

// rpcError puts a control-plane error into words: the cause of a context that ended, or what the server said.
func rpcError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
			return cause
		}
		return errors.New("no answer in time")
	}
	st := status.Convert(err)
	if st.Code() == codes.DeadlineExceeded {
		return errors.New("no answer in time")
	}
	return fmt.Errorf("%s: %s", st.Code(), st.Message())
}
