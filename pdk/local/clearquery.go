package local

import (
	"errors"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// ServiceRequestClearQueryArg implements pdk.Backend.
func (h *handle) ServiceRequestClearQueryArg(name string) error {
	const fn = pdk.FnServiceRequestClearQueryArg
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if name == "" {
		return argError(fn, errors.New("name is empty"))
	}
	if query := clearArg(s.view.rawQuery, name); query != s.view.rawQuery {
		s.setRawQuery(query)
	}
	return nil
}

// clearArg removes the arguments of a name from a raw query. Those that stay are unchanged but for a blank that was written "+".
func clearArg(query, name string) string {
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		written, _, _ := strings.Cut(part, "=")
		if part != "" && DecodeQuery(written) != name {
			kept = append(kept, strings.ReplaceAll(part, "+", "%20"))
		}
	}
	return strings.Join(kept, "&")
}
