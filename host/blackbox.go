package host

import (
	"slices"
	"sync/atomic"

	"github.com/outrigger-gateway/outrigger/host/internal/blackbox"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
)

// newBlackBox makes the recorder that the settings ask for; nil: none.
func (h *Host) newBlackBox() *blackbox.Recorder {
	s := h.settings
	if s.BlackBox == "" {
		return nil
	}
	names := &secretNames{generations: &h.generations}
	return blackbox.New(blackbox.Options{
		Dir: s.BlackBox, MaxBytes: s.BlackBoxSize, Bodies: s.BlackBoxBodies, Redact: s.BlackBoxRedact,
		Gateway: Version, Node: h.node.ID, Origin: origin, SecretNames: names.list, Logger: h.logger,
	})
}

// origin says where an instance runs.
func origin(in *plan.Instance) blackbox.Origin {
	server, ok := in.Remote.(*pluginserver.Server)
	if !ok {
		return blackbox.Origin{}
	}
	o := blackbox.Origin{Server: server.Name()}
	status := server.Status()
	o.Carrier = status.Carrier
	for _, p := range status.Processes {
		if p.SDK != "" {
			o.SDK = p.SDK
		}
	}
	code := in.Record.Name
	if in.Code != "" {
		code = in.Code
	}
	for _, m := range server.Manifests() {
		if m.Name == code {
			o.Version = m.Version
		}
	}
	return o
}

// secretNames are the names of headers and parameters in which the configuration expects keys, gathered once per generation.
type secretNames struct {
	generations *generation.Holder
	known       atomic.Pointer[generationNames]
}

type generationNames struct {
	number uint64
	names  []string
}

// namesOfKeys are the fields of plugin configurations that name headers, parameters or cookies with a secret in them.
var namesOfKeys = []string{"key_names", "header_names", "uri_param_names", "cookie_names"}

func (s *secretNames) list() []string {
	gen := s.generations.Current()
	if gen == nil {
		return nil
	}
	if known := s.known.Load(); known != nil && known.number == gen.Number {
		return known.names
	}
	found := &generationNames{number: gen.Number}
	for _, p := range gen.Set.Plugins {
		for _, field := range namesOfKeys {
			found.add(p.Config[field])
		}
	}
	s.known.Store(found)
	return found.names
}

func (n *generationNames) add(field any) {
	var names []string
	switch list := field.(type) {
	case []string:
		names = list
	case []any:
		for _, item := range list {
			if name, ok := item.(string); ok {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		if !slices.Contains(n.names, name) {
			n.names = append(n.names, name)
		}
	}
}
