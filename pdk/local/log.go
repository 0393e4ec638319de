package local

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

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

// LogDeprecation implements pdk.Backend.
func (h *handle) LogDeprecation(message, after, removal string) {
	switch {
	case after != "" && removal != "":
		message += " (deprecated after " + after + ", scheduled for removal in " + removal + ")"
	case after != "":
		message += " (deprecated after " + after + ")"
	case removal != "":
		message += " (scheduled for removal in " + removal + ")"
	}
	h.log(pdk.FnLogDeprecation, []any{message})
}

// LogInspect implements pdk.Backend.
func (h *handle) LogInspect(args ...any) {
	if pdk.Functions[pdk.FnLogInspect].Level < h.logLevel {
		return
	}
	var line []byte
	for i, a := range args {
		if i > 0 {
			line = append(line, '\n')
		}
		line = appendInspected(line, a)
	}
	h.log(pdk.FnLogInspect, []any{line})
}

// appendInspected writes a value as indented JSON, or as the other functions of log write it.
func appendInspected(b []byte, v any) []byte {
	switch v.(type) {
	case []byte, float32, float64:
		return appendText(b, v)
	}
	shown := v
	if raw, err := encodeValue(v); err == nil {
		if plain, err := wire.DecodeValue(raw); err == nil {
			shown = Shown(plain)
		}
	}
	text, err := encodeJSON(shown, "  ")
	if err != nil {
		return appendText(b, v)
	}
	return append(b, text...)
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
