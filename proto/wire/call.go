package wire

import (
	"fmt"
	"math"
	"strings"
)

// Slots are the lane's slots of a call's entities. A slot counts only where the call has the entity.
type Slots struct {
	Route    uint16
	Service  uint16
	Consumer uint16
}

// AppendCall appends the body of a call. It allocates nothing beyond dst. Bodies over ChunkSize are named only by their length:
// the sender sends what AppendLargeOfCall returns as chunks first.
func AppendCall(dst []byte, c *Call, slots Slots) []byte {
	tail := callTail(c)
	dst = appendArray(dst, 23+tail)
	dst = appendUint(dst, c.Instance)
	dst = appendUint(dst, uint64(c.Phase))
	dst = appendUint(dst, uint64(c.TimeoutMS))
	dst = appendStr(dst, c.RequestID)
	dst = appendUint(dst, uint64(max(c.StartTime, 0)))
	dst = appendRequest(dst, &c.Request)
	dst = appendClient(dst, &c.Client)
	dst = appendForwarded(dst, &c.Forwarded)
	dst = appendSlot(dst, c.Route, slots.Route)
	dst = appendSlot(dst, c.Service, slots.Service)
	dst = appendSlot(dst, c.Consumer, slots.Consumer)
	if c.Credential == nil {
		dst = appendNil(dst)
	} else {
		dst = appendRaw(dst, c.Credential.Doc)
	}
	dst = appendCaptures(dst, &c.Captures)
	dst = appendShared(dst, c.Shared)
	if c.HasResponse {
		dst = appendArray(dst, 3)
		dst = appendUint(dst, uint64(max(c.Response.Status, 0)))
		dst = appendHeaders(dst, c.Response.Headers)
		dst = appendUint(dst, uint64(c.Response.Source))
	} else {
		dst = appendNil(dst)
	}
	if c.HasServiceResponse {
		dst = appendArray(dst, 2)
		dst = appendUint(dst, uint64(max(c.ServiceResponse.Status, 0)))
		if c.SameHeaders() {
			dst = appendNil(dst)
		} else {
			dst = appendHeaders(dst, c.ServiceResponse.Headers)
		}
	} else {
		dst = appendNil(dst)
	}
	dst = appendOptBody(dst, c.Chunk, c.HasChunk)
	dst = appendBool(dst, c.Last)
	dst = appendOptBody(dst, c.RequestBody, c.HasRequestBody)
	dst = appendOptBody(dst, c.ResponseBody, c.HasResponseBody)
	dst = appendShared(dst, c.Plugin)
	dst = appendTLS(dst, &c.TLS)
	dst = appendGroups(dst, c.Groups)
	if tail > 0 {
		dst = appendTrace(dst, &c.Trace)
	}
	if tail > 1 {
		dst = appendPrefetched(dst, c.Prefetched)
	}
	if tail > 2 {
		dst = appendSteps(dst, c.Rest)
	}
	return dst
}

// AppendLargeOfCall appends the bodies of c that travel as chunks, in the order in which they must be sent.
func AppendLargeOfCall(dst [][]byte, c *Call) [][]byte {
	dst = appendLarge(dst, c.Chunk, c.HasChunk)
	dst = appendLarge(dst, c.RequestBody, c.HasRequestBody)
	return appendLarge(dst, c.ResponseBody, c.HasResponseBody)
}

func appendLarge(dst [][]byte, b []byte, has bool) [][]byte {
	if has && len(b) > ChunkSize {
		dst = append(dst, b)
	}
	return dst
}

// SameHeaders reports whether the service's response headers are those of the response, so that they need not travel twice.
func (f *Facts) SameHeaders() bool {
	a, b := f.Response.Headers, f.ServiceResponse.Headers
	if !f.HasResponse || len(a) != len(b) {
		return false
	}
	if len(a) == 0 || &a[0] == &b[0] {
		return true
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// QueryOfTarget is what follows the question mark of a target.
func QueryOfTarget(target string) string {
	_, query, _ := strings.Cut(target, "?")
	return query
}

// PathOfTarget is the target without its query.
func PathOfTarget(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

func appendRequest(dst []byte, r *Request) []byte {
	dst = appendArray(dst, 9)
	dst = appendStr(dst, r.Method)
	dst = appendStr(dst, r.Scheme)
	dst = appendStr(dst, r.Host)
	dst = appendUint(dst, uint64(max(r.Port, 0)))
	dst = appendUint(dst, uint64(max(r.HTTPVersion, 0)))
	dst = appendBinStr(dst, r.Target)
	path, query, _ := strings.Cut(r.Target, "?")
	if r.Path == path {
		dst = appendNil(dst)
	} else {
		dst = appendBinStr(dst, r.Path)
	}
	dst = appendHeaders(dst, r.Headers)
	if r.RawQuery == query {
		return appendNil(dst)
	}
	return appendBinStr(dst, r.RawQuery)
}

func appendClient(dst []byte, c *Client) []byte {
	dst = appendArray(dst, 5)
	dst = appendStr(dst, c.IP)
	dst = appendUint(dst, uint64(max(c.Port, 0)))
	if c.ForwardedIP == c.IP || c.ForwardedIP == "" {
		dst = appendNil(dst)
	} else {
		dst = appendStr(dst, c.ForwardedIP)
	}
	if c.ForwardedPort <= 0 {
		dst = appendNil(dst)
	} else {
		dst = appendUint(dst, uint64(c.ForwardedPort))
	}
	return appendBool(dst, c.Trusted)
}

func appendForwarded(dst []byte, f *Forwarded) []byte {
	if !f.Set {
		return appendNil(dst)
	}
	dst = appendArray(dst, 5)
	dst = appendBinStr(dst, f.Scheme)
	dst = appendBinStr(dst, f.Host)
	dst = appendUint(dst, uint64(max(f.Port, 0)))
	dst = appendBinStr(dst, f.Path)
	if !f.HasPrefix {
		return appendNil(dst)
	}
	return appendBinStr(dst, f.Prefix)
}

func appendSlot(dst []byte, e *Entity, slot uint16) []byte {
	if e == nil {
		return appendNil(dst)
	}
	return appendUint(dst, uint64(slot))
}

func appendCaptures(dst []byte, c *Captures) []byte {
	if len(c.Unnamed) == 0 && len(c.Named) == 0 {
		return appendNil(dst)
	}
	dst = appendArray(dst, 2)
	dst = appendBins(dst, c.Unnamed)
	dst = appendMap(dst, len(c.Named))
	for i := range c.Named {
		dst = appendStr(dst, c.Named[i].Name)
		dst = appendBinStr(dst, c.Named[i].Value)
	}
	return dst
}

func appendShared(dst []byte, shared []SharedValue) []byte {
	if len(shared) == 0 {
		return appendNil(dst)
	}
	dst = appendMap(dst, len(shared))
	for i := range shared {
		dst = appendStr(dst, shared[i].Key)
		dst = appendRaw(dst, shared[i].Value)
	}
	return dst
}

func appendTLS(dst []byte, t *TLS) []byte {
	if !t.Set {
		return appendNil(dst)
	}
	dst = appendArray(dst, 4)
	dst = appendStr(dst, t.Version)
	dst = appendStr(dst, t.Cipher)
	dst = appendStr(dst, t.ClientVerify)
	return appendBool(dst, t.HasCertificate)
}

func appendGroups(dst []byte, groups []Group) []byte {
	if len(groups) == 0 {
		return appendNil(dst)
	}
	dst = appendArray(dst, len(groups))
	for i := range groups {
		dst = appendArray(dst, 2)
		dst = appendStr(dst, groups[i].ID)
		dst = appendStr(dst, groups[i].Name)
	}
	return dst
}

// SlotTable is the entities that a lane has named so far. It is for one goroutine: the one that reads the lane.
type SlotTable struct {
	entities [EntitySlots]*Entity
}

// Set puts an entity into a slot.
func (t *SlotTable) Set(slot uint16, e *Entity) error {
	if int(slot) >= len(t.entities) {
		return badFormat("entity", "slot %d, expected less than %d", slot, EntitySlots)
	}
	t.entities[slot] = e
	return nil
}

// Get is the entity in a slot; nil when the slot was never set or is out of range. A nil table is empty.
func (t *SlotTable) Get(slot uint32) *Entity {
	if t == nil || slot >= EntitySlots {
		return nil
	}
	return t.entities[slot]
}

// DecodeCall reads the body of a call into c, whose Facts it fills or makes. Everything that c and its Facts held is replaced;
// the memory of their slices is used again. Strings and bytes of c are views of body and bulk, which must not change any more.
// Bulk is what was gathered from the chunks of the call. Entities come from slots; a slot that was never set is an error.
func DecodeCall(body, bulk []byte, slots *SlotTable, c *Call) error {
	d := newDecoder("call", body, bulk)
	f := c.Facts
	if f == nil {
		f = new(Facts)
	}
	*f = Facts{
		Request:         Request{Headers: f.Request.Headers[:0]},
		Captures:        Captures{Unnamed: f.Captures.Unnamed[:0], Named: f.Captures.Named[:0]},
		Shared:          f.Shared[:0],
		Groups:          f.Groups[:0],
		Response:        Response{Headers: f.Response.Headers[:0]},
		ServiceResponse: Response{Headers: f.ServiceResponse.Headers[:0]},
	}
	*c = Call{Facts: f, Plugin: c.Plugin[:0], Prefetched: c.Prefetched[:0], Rest: c.Rest[:0]}
	a := d.array()
	if a.more() {
		c.Instance = d.uint()
	}
	if a.more() {
		c.Phase = uint8(d.uintTo(math.MaxUint8))
	}
	if a.more() {
		c.TimeoutMS = uint32(d.uintTo(math.MaxUint32))
	}
	if a.more() {
		f.RequestID = d.str()
	}
	if a.more() {
		f.StartTime = int64(d.uintTo(math.MaxInt64))
	}
	if a.more() {
		d.request(&f.Request)
	}
	if a.more() {
		d.client(&f.Client)
	}
	if a.more() {
		d.forwarded(&f.Forwarded)
	}
	if a.more() {
		f.Route = d.slot(slots)
	}
	if a.more() {
		f.Service = d.slot(slots)
	}
	if a.more() {
		f.Consumer = d.slot(slots)
	}
	if a.more() {
		if doc := d.rawMap(); doc != nil {
			f.Credential = EntityOf(doc)
		}
	}
	if a.more() {
		d.captures(&f.Captures)
	}
	if a.more() {
		f.Shared = d.shared(f.Shared)
	}
	if a.more() && !d.null() {
		f.HasResponse = true
		d.response(&f.Response)
	}
	if a.more() && !d.null() {
		f.HasServiceResponse = true
		d.serviceResponse(f)
	}
	if a.more() {
		c.Chunk, c.HasChunk = d.bin()
	}
	if a.more() {
		c.Last = d.bool()
	}
	if a.more() {
		c.RequestBody, c.HasRequestBody = d.bin()
	}
	if a.more() {
		c.ResponseBody, c.HasResponseBody = d.bin()
	}
	if a.more() {
		c.Plugin = d.shared(c.Plugin)
	}
	if a.more() {
		d.tls(&f.TLS)
	}
	if a.more() {
		f.Groups = d.groups(f.Groups)
	}
	if a.more() && !d.null() {
		d.trace(&f.Trace)
	}
	if a.more() {
		c.Prefetched = d.prefetched(c.Prefetched)
	}
	if a.more() {
		c.Rest = d.steps(c.Rest, c.Phase)
	}
	d.rest(a)
	return d.done()
}

func (d *decoder) request(r *Request) {
	a := d.array()
	if a.more() {
		r.Method = d.str()
	}
	if a.more() {
		r.Scheme = d.str()
	}
	if a.more() {
		r.Host = d.str()
	}
	if a.more() {
		r.Port = int(d.uintTo(math.MaxUint16))
	}
	if a.more() {
		r.HTTPVersion = int(d.uintTo(math.MaxUint8))
	}
	if a.more() {
		r.Target = d.str()
	}
	r.Path, r.RawQuery, _ = strings.Cut(r.Target, "?")
	if a.more() {
		if path, has := d.optStr(); has {
			r.Path = path
		}
	}
	if a.more() {
		r.Headers = d.headers(r.Headers)
	}
	if a.more() {
		if query, has := d.optStr(); has {
			r.RawQuery = query
		}
	}
	d.rest(a)
}

func (d *decoder) client(c *Client) {
	a := d.array()
	if a.more() {
		c.IP = d.str()
	}
	if a.more() {
		c.Port = int(d.uintTo(math.MaxUint16))
	}
	c.ForwardedIP = c.IP
	if a.more() {
		if ip, has := d.optStr(); has {
			c.ForwardedIP = ip
		}
	}
	if a.more() {
		c.ForwardedPort = int(d.uintTo(math.MaxUint16))
	}
	if a.more() {
		c.Trusted = d.bool()
	}
	d.rest(a)
}

func (d *decoder) forwarded(f *Forwarded) {
	if d.null() {
		return
	}
	f.Set = true
	a := d.array()
	if a.more() {
		f.Scheme = d.str()
	}
	if a.more() {
		f.Host = d.str()
	}
	if a.more() {
		f.Port = int(d.uintTo(math.MaxUint16))
	}
	if a.more() {
		f.Path = d.str()
	}
	if a.more() {
		f.Prefix, f.HasPrefix = d.optStr()
	}
	d.rest(a)
}

func (d *decoder) slot(slots *SlotTable) *Entity {
	if d.null() {
		return nil
	}
	n := d.uintTo(EntitySlots - 1)
	if d.err != nil {
		return nil
	}
	e := slots.Get(uint32(n))
	if e == nil {
		d.fail("entity slot %d was never set", n)
	}
	return e
}

func (d *decoder) captures(c *Captures) {
	a := d.array()
	if a.more() {
		c.Unnamed = d.strs(c.Unnamed)
	}
	if a.more() {
		for m := d.mapping(); m.more() && d.err == nil; {
			name := d.str()
			c.Named = append(c.Named, Header{Name: name, Value: d.str()})
		}
	}
	d.rest(a)
}

// shared reads a map of free values onto dst.
func (d *decoder) shared(dst []SharedValue) []SharedValue {
	for m := d.mapping(); m.more() && d.err == nil; {
		key := d.str()
		start := d.i
		d.skip()
		if d.err == nil {
			dst = append(dst, SharedValue{Key: key, Value: d.b[start:d.i:d.i]})
		}
	}
	return dst
}

func (d *decoder) tls(t *TLS) {
	if d.null() {
		return
	}
	t.Set = true
	a := d.array()
	if a.more() {
		t.Version = d.str()
	}
	if a.more() {
		t.Cipher = d.str()
	}
	if a.more() {
		t.ClientVerify = d.str()
	}
	if a.more() {
		t.HasCertificate = d.bool()
	}
	d.rest(a)
}

func (d *decoder) trace(t *Trace) {
	a := d.array()
	if a.more() {
		t.Parent = d.str()
	}
	if a.more() {
		t.State = d.str()
	}
	d.rest(a)
}

// groups reads an array of [id, name] onto dst.
func (d *decoder) groups(dst []Group) []Group {
	for f := d.array(); f.more() && d.err == nil; {
		var g Group
		a := d.array()
		if a.more() {
			g.ID = d.str()
		}
		if a.more() {
			g.Name = d.str()
		}
		d.rest(a)
		dst = append(dst, g)
	}
	return dst
}

func (d *decoder) response(r *Response) {
	a := d.array()
	if a.more() {
		r.Status = int(d.uintTo(999))
	}
	if a.more() {
		r.Headers = d.headers(r.Headers)
	}
	if a.more() {
		r.Source = Source(d.uintTo(uint64(SourceError)))
	}
	d.rest(a)
}

func (d *decoder) serviceResponse(f *Facts) {
	a := d.array()
	r := &f.ServiceResponse
	if a.more() {
		r.Status = int(d.uintTo(999))
	}
	if a.more() {
		if d.null() {
			r.Headers = append(r.Headers, f.Response.Headers...)
		} else {
			r.Headers = d.headers(r.Headers)
		}
	}
	d.rest(a)
}

// AppendEntity appends the body of an entity frame.
func AppendEntity(dst []byte, slot uint16, e *Entity) []byte {
	dst = appendArray(dst, 2)
	dst = appendUint(dst, uint64(slot))
	return appendRaw(dst, e.Doc)
}

// DecodeEntity reads the body of an entity frame. The entity's document is a view of body.
func DecodeEntity(body []byte) (slot uint16, e *Entity, err error) {
	d := newDecoder("entity", body, nil)
	a := d.array()
	if a.more() {
		slot = uint16(d.uintTo(EntitySlots - 1))
	}
	if a.more() {
		e = &Entity{Doc: d.rawMap()}
	}
	d.rest(a)
	if err := d.done(); err != nil {
		return 0, nil, err
	}
	if e == nil || e.Doc == nil {
		return 0, nil, badFormat("entity", "slot %d has no document", slot)
	}
	e.ID = idOf(e.Doc)
	return slot, e, nil
}

// NewEntity makes an entity from the fields of its document.
func NewEntity(fields map[string]any) (*Entity, error) {
	doc, err := AppendValue(nil, fields)
	if err != nil {
		return nil, fmt.Errorf("encoding entity %v: %w", fields["id"], err)
	}
	return EntityOf(doc), nil
}

// EntityOf makes an entity from its document, one MessagePack map that has been checked. The id is that of the document.
func EntityOf(doc []byte) *Entity { return &Entity{ID: idOf(doc), Doc: doc} }

// idOf finds the text under "id" in a document that is a valid map.
func idOf(doc []byte) string {
	d := newDecoder("document", doc, nil)
	for m := d.mapping(); m.more() && d.err == nil; {
		start := d.i
		d.skip()
		if d.err != nil {
			return ""
		}
		key := decoder{b: doc[start:d.i], items: 1, what: "document"}
		if key.str() != "id" || key.err != nil {
			d.skip()
			continue
		}
		start = d.i
		d.skip()
		if d.err != nil {
			return ""
		}
		value := decoder{b: doc[start:d.i], items: 1, what: "document"}
		return value.str()
	}
	return ""
}
