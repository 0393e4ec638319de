package local

import (
	"fmt"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

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

// NodeGetVersion implements pdk.Backend.
func (h *handle) NodeGetVersion() string {
	s := h.read(pdk.FnNodeGetVersion)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.node.Version
}

// maxScale is the largest number of digits that node.get_memory_stats writes behind the point.
const maxScale = 10

// NodeGetMemoryStats implements pdk.Backend.
func (h *handle) NodeGetMemoryStats(unit string, scale int) (map[string]any, error) {
	const fn = pdk.FnNodeGetMemoryStats
	s, err := h.begin(fn)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if unit == "" {
		unit = "b"
	}
	if scale == -1 {
		scale = 2
	}
	folded := strings.ToLower(unit)
	switch {
	case len(folded) != 1 || !strings.Contains("bkmg", folded):
		return nil, argError(fn, fmt.Errorf("unit is %q; expected b, k, m or g", unit))
	case scale < 0 || scale > maxScale:
		return nil, argError(fn, fmt.Errorf("scale is %d; expected 0 to %d", scale, maxScale))
	}
	return h.askMap(s, fn, folded, scale)
}

// NodeGetConfiguration implements pdk.Backend.
func (h *handle) NodeGetConfiguration() (map[string]any, error) {
	s, err := h.begin(pdk.FnNodeGetConfiguration)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return h.askMap(s, pdk.FnNodeGetConfiguration)
}

// NginxGetStatistics implements pdk.Backend.
func (h *handle) NginxGetStatistics() (map[string]any, error) {
	s, err := h.begin(pdk.FnNginxGetStatistics)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return h.askMap(s, pdk.FnNginxGetStatistics)
}

// askMap puts a question that a map answers. The session is locked.
func (h *handle) askMap(s *Session, fn int, args ...any) (map[string]any, error) {
	answer, err := h.ask(s, fn, args...)
	if err != nil {
		return nil, err
	}
	m, err := decodeMap(answer.Value)
	if err != nil {
		return nil, strangeAnswer(fn, err)
	}
	return m, nil
}

// NginxGetVar implements pdk.Backend.
func (h *handle) NginxGetVar(name string) (string, bool, error) {
	s, err := h.begin(pdk.FnNginxGetVar)
	if err != nil {
		return "", false, err
	}
	defer s.mu.Unlock()
	return h.askText(s, pdk.FnNginxGetVar, name)
}

// askText puts a question that text or null answers. The session is locked.
func (h *handle) askText(s *Session, fn int, args ...any) (string, bool, error) {
	answer, err := h.ask(s, fn, args...)
	if err != nil || !answer.IsBytes && isNil(answer.Value) {
		return "", false, err
	}
	raw, err := bytesOf(fn, answer)
	return string(raw), err == nil, err
}

// NginxGetSubsystem implements pdk.Backend.
func (h *handle) NginxGetSubsystem() string {
	s := h.read(pdk.FnNginxGetSubsystem)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return "http"
}

// NginxGetTLS1VersionStr implements pdk.Backend.
func (h *handle) NginxGetTLS1VersionStr() (string, bool) {
	s := h.read(pdk.FnNginxGetTLS1VersionStr)
	if s == nil {
		return "", false
	}
	defer s.mu.Unlock()
	return s.facts.TLS.Version, s.facts.TLS.Set
}

// NginxReqStartTime implements pdk.Backend.
func (h *handle) NginxReqStartTime() float64 {
	s := h.read(pdk.FnNginxReqStartTime)
	if s == nil {
		return 0
	}
	defer s.mu.Unlock()
	return float64(s.facts.StartTime) / 1000
}

// ClusterGetID implements pdk.Backend.
func (h *handle) ClusterGetID() (string, bool) {
	s := h.read(pdk.FnClusterGetID)
	if s == nil {
		return "", false
	}
	defer s.mu.Unlock()
	return s.node.ClusterID, s.node.ClusterID != ""
}

// PluginGetID implements pdk.Backend.
func (h *handle) PluginGetID() string {
	s := h.read(pdk.FnPluginGetID)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.call.PluginID
}

// TelemetryLog implements pdk.Backend.
func (h *handle) TelemetryLog(pluginName string, config map[string]any, messageType, message string, attributes map[string]any) error {
	const fn = pdk.FnTelemetryLog
	if config == nil {
		config = map[string]any{}
	}
	args := []any{pluginName, config, messageType, message, nil}
	if attributes != nil {
		args[4] = attributes
	}
	raw, encodeErr := encodeValue(args)
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	switch {
	case encodeErr != nil:
		return argError(fn, encodeErr)
	case pluginName == "" || messageType == "":
		return argError(fn, errNoName)
	case !s.node.TelemetryLogs:
		return dataError(fn, fmt.Errorf("the setting telemetry_logs is off"))
	}
	s.op(fn).Value = raw
	return nil
}

var errNoName = fmt.Errorf("plugin_name or message_type is empty")

// Telemetry is a record of telemetry.log.
type Telemetry struct {
	Plugin     string
	Config     map[string]any
	Type       string
	Message    string
	Attributes map[string]any // nil: none
}

// TelemetryOf reads the operation telemetry.log.
func TelemetryOf(op *wire.Op) (t Telemetry, err error) {
	a := argumentsOf(op, 5)
	t = Telemetry{Plugin: a.text(0), Config: a.mapping(1), Type: a.text(2), Message: a.text(3)}
	if len(a.list) > 4 && a.list[4] != nil {
		t.Attributes = a.mapping(4)
	}
	if a.err == nil && (t.Plugin == "" || t.Type == "") {
		a.err = errNoName
	}
	return t, a.err
}
