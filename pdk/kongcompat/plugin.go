package pdk

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	outrigger "github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Plugin makes a plugin of Outrigger of one that was written for go-pdk. constructor returns a pointer to a configuration with its defaults, and the
// configuration has methods such as Access(kong *pdk.PDK). Names of fields without a json tag are in lower case, as in Kong.
//
// The configuration may have Validate() error, Configure() error and Close() error beside them, the last two also without an error result. Methods
// of these names with another signature are refused.
func Plugin(name, version string, priority int, constructor func() interface{}) outrigger.Plugin {
	return outrigger.Plugin{Name: name, Version: version, Priority: priority, New: func() any { return &instance{constructor()} }}
}

// instance is a configured plugin of go-pdk as an instance of Outrigger.
type instance struct{ config any }

// Configuration tells package schema where the configuration is.
func (in *instance) Configuration() (config any, lowerCaseNames bool) { return in.config, true }

// handlerNames are the methods that go-pdk calls. Outrigger has no Certificate and Preread phase: a plugin that has no other cannot run, and in
// one that has, they are never called.
var handlerNames = []string{"Rewrite", "Access", "Response", "Log"}

// Handlers tells package pdk which phases the plugin handles.
func (in *instance) Handlers() (h outrigger.Handlers, err error) {
	if c, ok := in.config.(interface{ Rewrite(*PDK) }); ok {
		h.Rewrite = handler(c.Rewrite)
	}
	if c, ok := in.config.(interface{ Access(*PDK) }); ok {
		h.Access = handler(c.Access)
	}
	if c, ok := in.config.(interface{ Response(*PDK) }); ok {
		h.Response = handler(c.Response)
	}
	if c, ok := in.config.(interface{ Log(*PDK) }); ok {
		h.Log = handler(c.Log)
	}
	if err := in.checkMethods(h.Phases()); err != nil {
		return h, err
	}
	return h, h.FindHooks(in.config)
}

// handler wraps a method of go-pdk, which has no error result.
func handler(f func(*PDK)) func(*outrigger.PDK) error {
	return func(k *outrigger.PDK) error {
		c := call.New(k)
		f(newPDK(c))
		return c.Err()
	}
}

// checkMethods refuses methods with a handler's name that would never be called, and plugins without any.
func (in *instance) checkMethods(handled outrigger.Phase) error {
	v := reflect.ValueOf(in.config)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("the constructor returns a %T; expected a pointer to a configuration", in.config)
	}
	names := strings.ToLower(strings.Join(handlerNames, ","))
	for i := range v.NumMethod() {
		m := v.Type().Method(i)
		if slices.Contains(handlerNames, m.Name) && !handled.Has(outrigger.PhaseByName(strings.ToLower(m.Name))) {
			return fmt.Errorf("%T: method %s is %s, expected func(*pdk.PDK)", in.config, m.Name, v.Method(i).Type())
		}
	}
	if handled == 0 {
		return fmt.Errorf("%T handles no phase that Outrigger has: expected a method such as Access(kong *pdk.PDK), one of %s", in.config, names)
	}
	return nil
}
