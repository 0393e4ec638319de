package local

import (
	"fmt"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// view is what reads see: the facts with the pending writes of the handler over them. Lists are the facts' own until the first write to
// them, which copies them into buffers that the pooled session keeps.
type view struct {
	method   string
	rawQuery string
	request  headerList
	status   int
	response headerList

	shared valueList // ctx.shared
	plugin valueList // ctx.plugin

	authenticated bool // consumer and credential replace those of the facts
	consumer      *pdk.Consumer
	credential    *pdk.Credential

	groups       []wire.Group
	clientBody   knownBody          // of the request: as asked, sent with the call, or set
	upstreamBody knownBody          // as the upstream sent it
	outgoing     knownBody          // of the response: as asked or set
	cached       []wire.SharedValue // what this handler wrote to the cache; a nil value: deleted
}

// knownBody is a body that needs no question.
type knownBody struct {
	bytes []byte
	known bool
}

func (v *view) begin(c *wire.Call) {
	f := c.Facts
	v.method, v.rawQuery, v.status = f.Request.Method, f.Request.RawQuery, f.Response.Status
	v.request.lines = f.Request.Headers
	v.response.lines = f.Response.Headers
	v.shared.list, v.plugin.list, v.groups = f.Shared, c.Plugin, f.Groups
	v.clientBody = knownBody{c.RequestBody, c.HasRequestBody}
	v.upstreamBody = knownBody{c.ResponseBody, c.HasResponseBody}
	v.outgoing = v.upstreamBody // a host does not send it once a plugin has replaced it
}

// reset forgets the call and keeps the buffers. It goes by fields: most handlers write to few of them.
func (v *view) reset() {
	v.method, v.rawQuery, v.groups = "", "", nil
	v.request.reset()
	v.response.reset()
	v.shared.reset()
	v.plugin.reset()
	v.authenticated, v.consumer, v.credential = false, nil, nil
	v.clientBody, v.upstreamBody, v.outgoing = knownBody{}, knownBody{}, knownBody{}
	if len(v.cached) > 0 {
		v.cached = emptied(v.cached)
	}
}

// valueList is a list of values by key, ctx.shared or ctx.plugin, that is copied before it is changed.
type valueList struct {
	list  []wire.SharedValue
	buf   []wire.SharedValue
	owned bool
	size  int // as SharedSize counts; valid when owned
}

// set keeps a value under a key; a nil value removes it. It refuses what would make the list larger than limit, in bytes; 0: no limit.
func (l *valueList) set(name, key string, raw []byte, limit int) error {
	if !l.owned {
		l.owned, l.size = true, SharedSize(l.list)
		l.list = append(l.buf[:0], l.list...)
	}
	size := l.size
	if old := findShared(l.list, key); old != nil {
		size -= sharedSize(key, old)
	}
	if !isNil(raw) {
		if size += sharedSize(key, raw); limit > 0 && size > limit {
			return fmt.Errorf("with the value under %q %s would hold %d bytes; at most %d (max_shared) are allowed", key, name, size, limit)
		}
	}
	l.list, l.size = SetShared(l.list, key, raw), size
	return nil
}

func (l *valueList) reset() {
	if l.owned {
		l.owned, l.buf = false, emptied(l.list)
	}
	l.list = nil
}

// headerList is a list of header lines that is copied before it is changed.
type headerList struct {
	lines []wire.Header
	buf   []wire.Header
	owned bool
}

// own gives the lines for changing in place.
func (l *headerList) own() []wire.Header {
	if !l.owned {
		l.owned = true
		l.lines = append(l.buf[:0], l.lines...)
	}
	return l.lines
}

func (l *headerList) set(name string, values []string) { l.lines = setHeader(l.own(), name, values) }
func (l *headerList) add(name string, values []string) { l.lines = addHeader(l.own(), name, values) }
func (l *headerList) clear(name string)                { l.lines = clearHeader(l.own(), name) }
func (l *headerList) setR(name string, values []string) {
	l.lines = setRequestHeader(l.own(), name, values)
}
func (l *headerList) addR(name string, values []string) {
	l.lines = addRequestHeader(l.own(), name, values)
}

func (l *headerList) reset() {
	if l.owned {
		l.owned, l.buf = false, emptied(l.lines)
	}
	l.lines = nil
}
