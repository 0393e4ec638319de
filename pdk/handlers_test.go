package pdk_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

var errRefused = errors.New("refused")

// failing has every handler and hook with an error result.
type failing struct{}

func (*failing) Rewrite(*pdk.PDK) error      { return errRefused }
func (*failing) Access(*pdk.PDK) error       { return errRefused }
func (*failing) Response(*pdk.PDK) error     { return errRefused }
func (*failing) HeaderFilter(*pdk.PDK) error { return errRefused }
func (*failing) Log(*pdk.PDK) error          { return errRefused }
func (*failing) Configure() error            { return errRefused }
func (*failing) Close() error                { return errRefused }
func (*failing) BodyFilter(_ *pdk.PDK, chunk []byte, last bool) ([]byte, error) {
	return chunk, errRefused
}

// silent has every handler and hook without one, and counts its calls.
type silent struct{ calls int }

func (s *silent) Rewrite(*pdk.PDK)      { s.calls++ }
func (s *silent) Access(*pdk.PDK)       { s.calls++ }
func (s *silent) Response(*pdk.PDK)     { s.calls++ }
func (s *silent) HeaderFilter(*pdk.PDK) { s.calls++ }
func (s *silent) Log(*pdk.PDK)          { s.calls++ }
func (s *silent) Configure()            { s.calls++ }
func (s *silent) Close()                { s.calls++ }
func (s *silent) BodyFilter(_ *pdk.PDK, chunk []byte, last bool) []byte {
	s.calls++
	return append(chunk, '!')
}

const everyPhase = pdk.PhaseRewrite | pdk.PhaseAccess | pdk.PhaseResponse | pdk.PhaseHeaderFilter | pdk.PhaseBodyFilter | pdk.PhaseLog

func TestHandlersWithErrorResult(t *testing.T) {
	h, err := pdk.HandlersOf(&failing{})
	if err != nil {
		t.Fatal(err)
	}
	if h.Phases() != everyPhase {
		t.Errorf("phases %s", h.Phases())
	}
	for _, run := range []func(*pdk.PDK) error{h.Rewrite, h.Access, h.Response, h.HeaderFilter, h.Log} {
		if err := run(nil); !errors.Is(err, errRefused) {
			t.Errorf("found %v, expected the handler's error", err)
		}
	}
	if body, err := h.BodyFilter(nil, []byte("a"), true); string(body) != "a" || !errors.Is(err, errRefused) {
		t.Errorf("body filter: %q, %v", body, err)
	}
	for _, run := range []func() error{h.Configure, h.Close} {
		if err := run(); !errors.Is(err, errRefused) {
			t.Errorf("hook: found %v", err)
		}
	}
}

func TestHandlersWithoutErrorResult(t *testing.T) {
	in := &silent{}
	h, err := pdk.HandlersOf(in)
	if err != nil {
		t.Fatal(err)
	}
	if h.Phases() != everyPhase {
		t.Errorf("phases %s", h.Phases())
	}
	for _, run := range []func(*pdk.PDK) error{h.Rewrite, h.Access, h.Response, h.HeaderFilter, h.Log} {
		if err := run(nil); err != nil {
			t.Error(err)
		}
	}
	if body, err := h.BodyFilter(nil, []byte("a"), true); string(body) != "a!" || err != nil {
		t.Errorf("body filter: %q, %v", body, err)
	}
	if err := errors.Join(h.Configure(), h.Close()); err != nil {
		t.Error(err)
	}
	if in.calls != 8 {
		t.Errorf("%d methods were called, expected 8", in.calls)
	}
}

type onlyAccess struct{}

func (onlyAccess) Access(*pdk.PDK) error { return nil }

func TestHandlersThatAreNotThereAreNil(t *testing.T) {
	h, err := pdk.HandlersOf(onlyAccess{})
	if err != nil {
		t.Fatal(err)
	}
	if h.Phases() != pdk.PhaseAccess || h.Log != nil || h.BodyFilter != nil || h.Configure != nil || h.Close != nil {
		t.Errorf("found %+v", h)
	}
}

type (
	wrongAccess    struct{}
	wrongFilter    struct{ onlyAccess }
	wrongConfigure struct{ onlyAccess }
	wrongClose     struct{ onlyAccess }
)

func (wrongAccess) Access(string) error         { return nil }
func (wrongFilter) BodyFilter(*pdk.PDK, []byte) {}
func (wrongConfigure) Configure(map[string]any) {}
func (wrongClose) Close(bool) error             { return nil }

func TestHandlersOfRefuses(t *testing.T) {
	for _, test := range []struct {
		instance any
		want     string
	}{
		{wrongAccess{}, "pdk_test.wrongAccess: method Access is func(string) error, expected func(*pdk.PDK) error (the error may be left out)"},
		{wrongFilter{}, "method BodyFilter is func(*pdk.PDK, []uint8), expected func(*pdk.PDK, []byte, bool) ([]byte, error)"},
		{wrongConfigure{}, "method Configure is func(map[string]interface {}), expected func() error"},
		{wrongClose{}, "method Close is func(bool) error, expected func() error"},
		{struct{}{}, "struct {} handles no phase: expected a method such as Access(*pdk.PDK) error"},
		{nil, "the instance is nil"},
	} {
		if _, err := pdk.HandlersOf(test.instance); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%T: found %v, expected %q", test.instance, err, test.want)
		}
	}
}

// checked has both hooks of a configuration.
type checked struct {
	order []string
	wrong error
}

func (c *checked) Validate() error {
	c.order = append(c.order, "validate")
	return c.wrong
}
func (c *checked) Configure()      { c.order = append(c.order, "configure") }
func (c *checked) Access(*pdk.PDK) {}

// validated has one of them.
type validated struct{}

func (validated) Validate() error { return errors.New("wrong") }
func (validated) Access(*pdk.PDK) {}

// misspelt has one with another signature.
type misspelt struct{}

func (misspelt) Validate() bool  { return true }
func (misspelt) Access(*pdk.PDK) {}

func TestValidateRunsBeforeConfigure(t *testing.T) {
	in := &checked{}
	h, err := pdk.HandlersOf(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Configure(); err != nil || !slices.Equal(in.order, []string{"validate", "configure"}) {
		t.Errorf("order %q, %v", in.order, err)
	}
	in.order, in.wrong = nil, errors.New("wrong")
	if err := h.Configure(); !errors.Is(err, in.wrong) || !slices.Equal(in.order, []string{"validate"}) {
		t.Errorf("order %q, %v", in.order, err)
	}
	if h, err = pdk.HandlersOf(validated{}); err != nil || h.Configure == nil || h.Configure() == nil {
		t.Errorf("Validate alone: %v", err)
	}
	if _, err := pdk.HandlersOf(misspelt{}); err == nil || !strings.Contains(err.Error(), "Validate") {
		t.Errorf("another signature: %v", err)
	}
}
