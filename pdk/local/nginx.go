package local

import "github.com/outrigger-gateway/outrigger/pdk"

// NginxGetStatistics implements pdk.Backend.
func (h *handle) NginxGetStatistics() (map[string]any, error) {
	s, err := h.begin(pdk.FnNginxGetStatistics)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return h.askMap(s, pdk.FnNginxGetStatistics)
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
