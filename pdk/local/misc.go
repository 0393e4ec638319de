package local

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// CtxSharedGet implements pdk.Backend.
func (h *handle) CtxSharedGet(key string) any {
	s := h.read(pdk.FnCtxSharedGet)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	raw := findShared(s.view.shared, key)
	if isNil(raw) {
		return nil
	}
	v, err := wire.DecodeValue(raw)
	if err != nil {
		if s.failure == nil {
			s.failure = dataError(pdk.FnCtxSharedGet, fmt.Errorf("value under %q: %w", key, err))
		}
		return nil
	}
	return v
}

// CtxSharedSet implements pdk.Backend.
func (h *handle) CtxSharedSet(key string, value any) error {
	const fn = pdk.FnCtxSharedSet
	raw, encodeErr := encodeValue(value)
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if encodeErr != nil {
		return argError(fn, encodeErr)
	}
	v := &s.view
	v.ownShared()
	size := v.sharedSize
	if old := findShared(v.shared, key); old != nil {
		size -= sharedSize(key, old)
	}
	if !isNil(raw) {
		size += sharedSize(key, raw)
		if limit := s.node.MaxShared; limit > 0 && size > limit {
			return argError(fn, fmt.Errorf("with the value under %q ctx.shared would hold %d bytes; at most %d (max_shared) are allowed", key, size, limit))
		}
	}
	op := s.op(fn)
	op.Name, op.Value = key, raw
	v.shared, v.sharedSize = setShared(v.shared, key, raw), size
	return nil
}

// LogDebug implements pdk.Backend.
func (h *handle) LogDebug(args ...any) { h.log(pdk.FnLogDebug, args) }

// LogInfo implements pdk.Backend.
func (h *handle) LogInfo(args ...any) { h.log(pdk.FnLogInfo, args) }

// LogNotice implements pdk.Backend.
func (h *handle) LogNotice(args ...any) { h.log(pdk.FnLogNotice, args) }

// LogWarn implements pdk.Backend.
func (h *handle) LogWarn(args ...any) { h.log(pdk.FnLogWarn, args) }

// LogErr implements pdk.Backend.
func (h *handle) LogErr(args ...any) { h.log(pdk.FnLogErr, args) }

// LogCrit implements pdk.Backend.
func (h *handle) LogCrit(args ...any) { h.log(pdk.FnLogCrit, args) }

// LogAlert implements pdk.Backend.
func (h *handle) LogAlert(args ...any) { h.log(pdk.FnLogAlert, args) }

// LogEmerg implements pdk.Backend.
func (h *handle) LogEmerg(args ...any) { h.log(pdk.FnLogEmerg, args) }

func (h *handle) log(fn int, args []any) {
	level := pdk.Functions[fn].Level
	if level < h.logLevel {
		return
	}
	var line []byte
	for _, a := range args { // unlocked: a String method may use the PDK
		line = appendText(line, a)
	}
	if s := h.read(fn); s != nil {
		defer s.mu.Unlock()
		s.host.Log(level, string(line))
	}
}

// appendText writes an argument of a log function: text and bytes as they are, nil as "nil", floats as in JSON.
func appendText(b []byte, v any) []byte {
	switch t := v.(type) {
	case nil:
		return append(b, "nil"...)
	case string:
		return append(b, t...)
	case []byte:
		return append(b, t...)
	case bool:
		return strconv.AppendBool(b, t)
	case int:
		return strconv.AppendInt(b, int64(t), 10)
	case int64:
		return strconv.AppendInt(b, t, 10)
	case uint64:
		return strconv.AppendUint(b, t, 10)
	case float64:
		return appendNumber(b, t, 64)
	case float32:
		return appendNumber(b, float64(t), 32)
	}
	return fmt.Append(b, v)
}

// appendNumber writes a float as in JSON, by the rules of ECMAScript, which is what the PDK does in every language.
func appendNumber(b []byte, f float64, bits int) []byte {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 0):
		if f < 0 {
			b = append(b, '-')
		}
		return append(b, "Infinity"...)
	case abs == 0:
		return append(b, '0')
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(b, f, 'f', -1, bits)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, bits)
	if n := len(b); b[n-4] == 'e' && b[n-2] == '0' { // 1e-07
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// Modes of log.set_serialize_value.
const (
	modeSet     = "set"
	modeAdd     = "add"
	modeReplace = "replace"
)

func checkSerialize(key, mode string) error {
	if key == "" {
		return errors.New("key is empty")
	}
	if !slices.Contains([]string{modeSet, modeAdd, modeReplace}, mode) {
		return fmt.Errorf("mode %q is not set, add or replace", mode)
	}
	return nil
}

// LogSetSerializeValue implements pdk.Backend.
func (h *handle) LogSetSerializeValue(key string, value any, mode string) error {
	const fn = pdk.FnLogSetSerializeValue
	raw, encodeErr := encodeValue(value)
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if mode == "" {
		mode = modeSet
	}
	if err := errors.Join(encodeErr, checkSerialize(key, mode)); err != nil {
		return argError(fn, err)
	}
	op := s.op(fn)
	op.Name, op.Value, op.Mode = key, raw, mode
	return nil
}

// LogSerialize implements pdk.Backend.
func (h *handle) LogSerialize() (string, error) {
	const fn = pdk.FnLogSerialize
	s, err := h.begin(fn)
	if err != nil {
		return "", err
	}
	defer s.mu.Unlock()
	answer, err := h.ask(s, fn)
	if err != nil {
		return "", err
	}
	raw, err := bytesOf(fn, answer)
	if err != nil {
		return "", err
	}
	entry, err := serializeOver(string(raw), s.ops)
	if err != nil {
		return "", &pdk.Error{Code: pdk.ErrHost.Code, Function: pdk.Functions[fn].Name, Message: err.Error()}
	}
	return entry, nil
}

// RouterGetRoute implements pdk.Backend.
func (h *handle) RouterGetRoute() *pdk.Route {
	s := h.read(pdk.FnRouterGetRoute)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	return known(s, pdk.FnRouterGetRoute, s.facts.Route, routeOf)
}

// RouterGetService implements pdk.Backend.
func (h *handle) RouterGetService() *pdk.Service {
	s := h.read(pdk.FnRouterGetService)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	return known(s, pdk.FnRouterGetService, s.facts.Service, serviceOf)
}

// IPIsTrusted implements pdk.Backend.
func (h *handle) IPIsTrusted(address string) bool {
	s := h.read(pdk.FnIPIsTrusted)
	if s == nil {
		return false
	}
	defer s.mu.Unlock()
	return IsTrusted(s.node.Trusted, address)
}

// IsTrusted reports whether an address is inside one of the prefixes. Everything is, when the whole of IPv4 and the whole of IPv6 are among
// them. An IPv4 address written as IPv6 counts as IPv4.
func IsTrusted(trusted []netip.Prefix, address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// NodeGetID implements pdk.Backend.
func (h *handle) NodeGetID() string {
	s := h.read(pdk.FnNodeGetID)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.node.ID
}

// NodeGetHostname implements pdk.Backend.
func (h *handle) NodeGetHostname() string {
	s := h.read(pdk.FnNodeGetHostname)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.node.Hostname
}
