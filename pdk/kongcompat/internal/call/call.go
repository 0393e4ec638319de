// Package call is one handler call as the packages of kongcompat share it.
package call

import (
	"errors"
	"sync"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Call is one handler call.
type Call struct {
	PDK *pdk.PDK

	mu     sync.Mutex
	exited bool
	failed error
}

// New is the call of a handle.
func New(k *pdk.PDK) *Call { return &Call{PDK: k} }

// Exit runs an exit. Kong's functions for it answer nothing, so an exit that is refused fails the handler: the request must not go on as if the plugin
// had let it through. What comes after an exit is ignored.
func (c *Call) Exit(exit func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited {
		return
	}
	if err := exit(); err != nil {
		c.failed = errors.Join(c.failed, err)
		return
	}
	c.exited = true
}

// Err is the error with which the handler fails; nil when it does not.
func (c *Call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited {
		return nil
	}
	return c.failed
}

// Read calls a function of class read, whose refusal is an error here.
func Read[T any](c *Call, fn int, read func() T) (value T, err error) {
	if err := c.PDK.Refusal(fn); err != nil {
		return value, err
	}
	return read(), nil
}

// ReadText is Read for a text that may be missing, which is "" in Kong's Go.
func ReadText(c *Call, fn int, read func() (string, bool)) (string, error) {
	return Read(c, fn, func() string {
		text, _ := read()
		return text
	})
}

// Values gives the lines of a map of headers by name.
func Values(m pdk.MultiMap, err error) (map[string][]string, error) {
	if err != nil {
		return nil, err
	}
	return m.Map(), nil
}

// Plain gives a value as Kong's Go has it: every number is a float64, bytes are text.
func Plain(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	case []byte:
		return string(v)
	case []any:
		for i := range v {
			v[i] = Plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = Plain(v[k])
		}
	}
	return v
}
