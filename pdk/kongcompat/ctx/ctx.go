// Package ctx is kong.Ctx of go-pdk.
package ctx

import (
	"errors"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Ctx holds the values that all plugins share for the life of one request.
type Ctx struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Ctx { return Ctx{c} }

// SetShared keeps a value; nil removes it.
func (c Ctx) SetShared(k string, value interface{}) error {
	return c.call.PDK.CtxShared.Set(k, value)
}

// GetSharedAny returns a value, nil when there is none. Numbers are float64.
func (c Ctx) GetSharedAny(k string) (interface{}, error) {
	return call.Read(c.call, pdk.FnCtxSharedGet, func() any { return call.Plain(c.call.PDK.CtxShared.Get(k)) })
}

// GetSharedString returns a text; what is none is an error.
func (c Ctx) GetSharedString(k string) (string, error) {
	v, err := c.GetSharedAny(k)
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		return "", errors.New("expected type: string")
	}
	return s, nil
}

// GetSharedFloat returns a number; what is none is an error.
func (c Ctx) GetSharedFloat(k string) (float64, error) {
	v, err := c.GetSharedAny(k)
	if err != nil {
		return 0, err
	}
	f, ok := v.(float64)
	if !ok {
		return 0, errors.New("expected type: number")
	}
	return f, nil
}
