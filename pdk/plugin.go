// Package pdk is what a plugin sees of Outrigger: the plugin value, the phases, and the PDK handle of one handler call.
//
// A plugin is a value of type Plugin. The same value runs inside the host or, through pdk/server, in a process of its own.
package pdk

import "fmt"

// Need is something that the host sends with a call because the plugin says that it will read it.
type Need uint8

// Needs of a plugin.
const (
	// NeedRequestBody buffers the request body before access and sends it with the call.
	NeedRequestBody Need = 1 << iota
	// NeedResponseBody buffers the upstream's body before the response phase and sends it with the call.
	NeedResponseBody
)

// Names lists the needs by their names on the wire.
func (n Need) Names() []string {
	var names []string
	if n&NeedRequestBody != 0 {
		names = append(names, "request_body")
	}
	if n&NeedResponseBody != 0 {
		names = append(names, "response_body")
	}
	return names
}

// Plugin describes a plugin. Name, Version and New are required.
//
// New returns a pointer to a fresh instance that holds the defaults of the configuration: the stored configuration is decoded
// over it with encoding/json, so fields carry json tags, and schema tags for what JSON Schema can check (package pdk/schema).
// Having a method of Handlers' signatures is handling that phase:
//
//	Rewrite(*pdk.PDK) error        Access(*pdk.PDK) error     Response(*pdk.PDK) error
//	HeaderFilter(*pdk.PDK) error   Log(*pdk.PDK) error
//	BodyFilter(k *pdk.PDK, chunk []byte, last bool) ([]byte, error)   // nil: unchanged; empty: drop
//	Validate() error               Configure() error          Close() error
//
// The error result may be left out, except that of Validate, which runs before Configure. An error of either refuses the configuration; a
// *ConfigError in it names the field.
type Plugin struct {
	Name     string
	Version  string
	Priority int
	New      func() any
	// Authenticates says that the plugin sets the consumer. It cannot fail open by accident.
	Authenticates bool
	Needs         Need
}

// Handlers are the methods of one instance, found once when it is made. A nil field is a phase that is not handled.
type Handlers struct {
	Rewrite      func(*PDK) error
	Access       func(*PDK) error
	Response     func(*PDK) error
	HeaderFilter func(*PDK) error
	BodyFilter   func(k *PDK, chunk []byte, last bool) ([]byte, error)
	Log          func(*PDK) error
	Configure    func() error
	Close        func() error
}

// Phases is the set of phases that are handled.
func (h *Handlers) Phases() Phase {
	var p Phase
	for _, e := range []struct {
		ok    bool
		phase Phase
	}{
		{h.Rewrite != nil, PhaseRewrite},
		{h.Access != nil, PhaseAccess},
		{h.Response != nil, PhaseResponse},
		{h.HeaderFilter != nil, PhaseHeaderFilter},
		{h.BodyFilter != nil, PhaseBodyFilter},
		{h.Log != nil, PhaseLog},
	} {
		if e.ok {
			p |= e.phase
		}
	}
	return p
}

// HandlersOf finds the handlers of an instance, or takes those that its own method Handlers gives. A method with a handler's name and another signature is an error, and so is an
// instance that handles no phase.
func HandlersOf(instance any) (Handlers, error) {
	if in, ok := instance.(interface{ Handlers() (Handlers, error) }); ok { // it found them itself
		return in.Handlers()
	}
	var h Handlers
	var err error
	if h.Rewrite, err = handler(instance, "Rewrite"); err != nil {
		return h, err
	}
	if h.Access, err = handler(instance, "Access"); err != nil {
		return h, err
	}
	if h.Response, err = handler(instance, "Response"); err != nil {
		return h, err
	}
	if h.HeaderFilter, err = handler(instance, "HeaderFilter"); err != nil {
		return h, err
	}
	if h.Log, err = handler(instance, "Log"); err != nil {
		return h, err
	}
	if h.BodyFilter, err = bodyFilter(instance); err != nil {
		return h, err
	}
	if err := h.FindHooks(instance); err != nil {
		return h, err
	}
	if h.Phases() == 0 {
		return h, fmt.Errorf("%T handles no phase: expected a method such as Access(*pdk.PDK) error", instance)
	}
	return h, nil
}

// FindHooks sets Configure and Close to the methods Validate, Configure and Close of an instance, as HandlersOf does. It is for instances whose own
// method Handlers finds the rest. Such a method with another signature is an error.
func (h *Handlers) FindHooks(instance any) (err error) {
	if h.Configure, err = configure(instance); err != nil {
		return err
	}
	h.Close, err = hook(instance, "Close")
	return err
}

// NeedByName finds a need by its name on the wire; 0 if there is none.
func NeedByName(name string) Need {
	switch name {
	case "request_body":
		return NeedRequestBody
	case "response_body":
		return NeedResponseBody
	}
	return 0
}
