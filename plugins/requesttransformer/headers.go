package requesttransformer

import (
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// headerSet is the headers of the upstream request as a fields.Set. Host can only be replaced, and is always there. err is the first
// error; after it nothing is written.
type headerSet struct {
	k   *pdk.PDK
	err error
}

func isHost(name string) bool { return strings.EqualFold(name, "Host") }

func (h *headerSet) do(f func() error) {
	if h.err == nil {
		h.err = f()
	}
}

// Has implements fields.Set.
func (h *headerSet) Has(name string) bool {
	_, ok := h.k.Request.GetHeader(name)
	return ok || isHost(name)
}

// Remove implements fields.Set.
func (h *headerSet) Remove(name string) {
	if !isHost(name) {
		h.do(func() error { return h.k.ServiceRequest.ClearHeader(name) })
	}
}

// Rename implements fields.Set.
func (h *headerSet) Rename(from, to string) {
	if isHost(from) || isHost(to) || strings.EqualFold(from, to) || !h.Has(from) {
		return
	}
	h.do(func() error {
		headers, err := h.k.Request.GetHeaders(1000)
		if err != nil {
			return err
		}
		values := headers.Values(from)
		if len(values) == 0 {
			return nil
		}
		if err := h.k.ServiceRequest.ClearHeader(from); err != nil {
			return err
		}
		return h.k.ServiceRequest.SetHeader(to, values...)
	})
}

// Put implements fields.Set.
func (h *headerSet) Put(name, value string) {
	h.do(func() error { return h.k.ServiceRequest.SetHeader(name, value) })
}

// Append implements fields.Set.
func (h *headerSet) Append(name, value string) {
	if !isHost(name) {
		h.do(func() error { return h.k.ServiceRequest.AddHeader(name, value) })
	}
}
