package local

import (
	"fmt"
	"math"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Limits of the plugin cache, in bytes.
const (
	maxCacheKey   = 1024
	maxCacheValue = 1 << 20 // encoded
)

func checkCacheKey(key string) error {
	if key == "" || len(key) > maxCacheKey {
		return fmt.Errorf("the key has %d bytes; expected 1 to %d", len(key), maxCacheKey)
	}
	return nil
}

func checkCached(key string, size int, ttl float64) error {
	if err := checkCacheKey(key); err != nil {
		return err
	}
	switch {
	case size > maxCacheValue:
		return fmt.Errorf("the value under %q has %d bytes; at most %d are allowed", key, size, maxCacheValue)
	case math.IsNaN(ttl) || math.IsInf(ttl, 0) || ttl < 0:
		return fmt.Errorf("ttl is %v; expected seconds from 0", ttl)
	}
	return nil
}

// CacheGet implements pdk.Backend.
func (h *handle) CacheGet(key string) (any, error) {
	const fn = pdk.FnCacheGet
	s, err := h.begin(fn)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if err := checkCacheKey(key); err != nil {
		return nil, argError(fn, err)
	}
	for i := len(s.view.cached) - 1; i >= 0; i-- {
		if c := &s.view.cached[i]; c.Key == key {
			return cachedValue(fn, c.Value)
		}
	}
	answer, err := h.ask(s, fn, key)
	switch {
	case err != nil:
		return nil, err
	case answer.IsBytes:
		return append([]byte{}, answer.Bytes...), nil
	}
	return cachedValue(fn, answer.Value)
}

func cachedValue(fn int, raw []byte) (any, error) {
	if isNil(raw) {
		return nil, nil
	}
	v, err := wire.DecodeValue(raw)
	if err != nil {
		return nil, strangeAnswer(fn, err)
	}
	return v, nil
}

// CacheSet implements pdk.Backend.
func (h *handle) CacheSet(key string, value any, ttl float64) error {
	const fn = pdk.FnCacheSet
	raw, err := encodeValue(value)
	if err == nil {
		err = checkCached(key, len(raw), ttl)
	}
	s, refused := h.begin(fn)
	if refused != nil {
		return refused
	}
	defer s.mu.Unlock()
	if err != nil {
		return argError(fn, err)
	}
	// [key, value, ttl], of which value is encoded already.
	args := encodeArguments(key, nil, ttl)
	at := len(args) - 10 // nil, and a float64 of nine bytes
	s.op(fn).Value = append(append(append(make([]byte, 0, len(args)+len(raw)), args[:at]...), raw...), args[at+1:]...)
	s.view.cached = append(s.view.cached, wire.SharedValue{Key: key, Value: raw})
	return nil
}

// CacheSetOf reads the operation cache.set. value is one MessagePack value, nil to remove the key; ttl is in seconds, 0 for no end.
func CacheSetOf(op *wire.Op) (key string, value []byte, ttl float64, err error) {
	a := argumentsOf(op, 3)
	key, ttl = a.text(0), a.float(2)
	if a.err == nil && a.list[1] != nil {
		value, a.err = wire.AppendValue(nil, a.list[1])
	}
	if a.err == nil {
		a.err = checkCached(key, len(value), ttl)
	}
	return key, value, ttl, a.err
}

// CacheDelete implements pdk.Backend.
func (h *handle) CacheDelete(key string) error {
	const fn = pdk.FnCacheDelete
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := checkCacheKey(key); err != nil {
		return argError(fn, err)
	}
	s.op(fn).Value = encodeArguments(key)
	s.view.cached = append(s.view.cached, wire.SharedValue{Key: key})
	return nil
}

// CacheDeleteOf reads the operation cache.delete.
func CacheDeleteOf(op *wire.Op) (key string, err error) {
	a := argumentsOf(op, 1)
	if key = a.text(0); a.err == nil {
		a.err = checkCacheKey(key)
	}
	return key, a.err
}
