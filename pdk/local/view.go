package local

import (
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

	shared      []wire.SharedValue
	sharedBuf   []wire.SharedValue
	sharedOwned bool
	sharedSize  int // valid when sharedOwned

	authenticated bool // consumer and credential replace those of the facts
	consumer      *pdk.Consumer
	credential    *pdk.Credential

	requestBody     []byte // as asked, sent with the call, or set
	hasRequestBody  bool
	responseBody    []byte
	hasResponseBody bool
}

func (v *view) begin(f *wire.Facts) {
	v.method, v.rawQuery, v.status = f.Request.Method, f.Request.RawQuery, f.Response.Status
	v.request.lines = f.Request.Headers
	v.response.lines = f.Response.Headers
	v.shared = f.Shared
}

func (v *view) reset() {
	request, response := v.request.reset(), v.response.reset()
	sharedBuf := v.sharedBuf
	if v.sharedOwned {
		sharedBuf = v.shared
	}
	*v = view{request: request, response: response, sharedBuf: emptied(sharedBuf)}
}

// ownShared makes the list of shared values one that may be changed.
func (v *view) ownShared() {
	if !v.sharedOwned {
		v.sharedOwned = true
		v.sharedSize = SharedSize(v.shared)
		v.shared = append(v.sharedBuf[:0], v.shared...)
	}
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

func (l *headerList) reset() headerList {
	buf := l.buf
	if l.owned {
		buf = l.lines
	}
	return headerList{buf: emptied(buf)}
}
