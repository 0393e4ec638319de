package local

import (
	"fmt"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// CtxSharedGet implements pdk.Backend.
func (h *handle) CtxSharedGet(key string) any { return h.getValue(pdk.FnCtxSharedGet, key) }

// CtxSharedSet implements pdk.Backend.
func (h *handle) CtxSharedSet(key string, value any) error {
	return h.setValue(pdk.FnCtxSharedSet, pdk.FnCtxSharedSet, key, value)
}

// CtxPluginGet implements pdk.Backend.
func (h *handle) CtxPluginGet(key string) any { return h.getValue(pdk.FnCtxPluginGet, key) }

// CtxPluginSet implements pdk.Backend.
func (h *handle) CtxPluginSet(key string, value any) error {
	return h.setValue(pdk.FnCtxPluginSet, pdk.FnCtxPluginSet, key, value)
}

// nginxCtx stands in front of the keys of nginx.set_ctx in ctx.shared.
const nginxCtx = "nginx.ctx."

// NginxGetCtx implements pdk.Backend.
func (h *handle) NginxGetCtx(key string) any { return h.getValue(pdk.FnNginxGetCtx, nginxCtx+key) }

// NginxSetCtx implements pdk.Backend.
func (h *handle) NginxSetCtx(key string, value any) error {
	return h.setValue(pdk.FnNginxSetCtx, pdk.FnCtxSharedSet, nginxCtx+key, value)
}

// getValue reads one value of ctx.shared or ctx.plugin.
func (h *handle) getValue(fn int, key string) any {
	s := h.read(fn)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	list := s.view.shared.list
	if fn == pdk.FnCtxPluginGet {
		list = s.view.plugin.list
	}
	raw := findShared(list, key)
	if isNil(raw) {
		return nil
	}
	v, err := wire.DecodeValue(raw)
	if err != nil {
		if s.failure == nil {
			s.failure = dataError(fn, fmt.Errorf("value under %q: %w", key, err))
		}
		return nil
	}
	return v
}

// setValue writes one value of ctx.shared or ctx.plugin, as the operation of the function record.
func (h *handle) setValue(fn, record int, key string, value any) error {
	raw, encodeErr := encodeValue(value)
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if encodeErr != nil {
		return argError(fn, encodeErr)
	}
	list, name := &s.view.shared, "ctx.shared"
	if record == pdk.FnCtxPluginSet {
		list, name = &s.view.plugin, "ctx.plugin"
	}
	if err := list.set(name, key, raw, s.node.MaxShared); err != nil {
		return argError(fn, err)
	}
	op := s.op(record)
	op.Name, op.Value = key, raw
	return nil
}
