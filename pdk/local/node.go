package local

import (
	"fmt"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
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

// askText puts a question that text or null answers. The session is locked.
func (h *handle) askText(s *Session, fn int, args ...any) (string, bool, error) {
	answer, err := h.ask(s, fn, args...)
	if err != nil || !answer.IsBytes && isNil(answer.Value) {
		return "", false, err
	}
	raw, err := bytesOf(fn, answer)
	return string(raw), err == nil, err
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
