package wire

import "math"

// AppendHostHello appends the body of the host's hello.
func AppendHostHello(dst []byte, h *HostHello) []byte {
	fields := 10
	if h.Features != 0 {
		fields = 11
	}
	dst = appendArray(dst, fields)
	dst = appendUint(dst, uint64(h.Version))
	dst = appendStr(dst, h.NodeID)
	dst = appendStr(dst, h.Hostname)
	dst = appendStr(dst, h.GatewayVersion)
	dst = appendArray(dst, len(h.TrustedCIDRs))
	for _, c := range h.TrustedCIDRs {
		dst = appendStr(dst, c)
	}
	dst = appendUint(dst, uint64(h.LogLevel))
	dst = appendUint(dst, h.MaxBody)
	dst = appendUint(dst, h.MaxShared)
	if h.ClusterID == "" {
		dst = appendNil(dst)
	} else {
		dst = appendStr(dst, h.ClusterID)
	}
	dst = appendBool(dst, h.TelemetryLogs)
	if h.Features != 0 {
		dst = appendUint(dst, uint64(h.Features))
	}
	return dst
}

// DecodeHostHello reads the host's hello.
func DecodeHostHello(body []byte) (HostHello, error) {
	var h HostHello
	d := newDecoder("hello", body, nil)
	a := d.array()
	if a.more() {
		h.Version = uint16(d.uintTo(math.MaxUint16))
	}
	if a.more() {
		h.NodeID = d.str()
	}
	if a.more() {
		h.Hostname = d.str()
	}
	if a.more() {
		h.GatewayVersion = d.str()
	}
	if a.more() {
		h.TrustedCIDRs = d.strs(nil)
	}
	if a.more() {
		h.LogLevel = uint8(d.uintTo(math.MaxUint8))
	}
	if a.more() {
		h.MaxBody = d.uint()
	}
	if a.more() {
		h.MaxShared = d.uint()
	}
	if a.more() {
		h.ClusterID = d.str()
	}
	if a.more() {
		h.TelemetryLogs = d.bool()
	}
	if a.more() {
		h.Features = uint32(d.uintTo(math.MaxUint32))
	}
	d.rest(a)
	return h, d.done()
}

// AppendServerHello appends the body of the server's hello.
func AppendServerHello(dst []byte, h *ServerHello) []byte {
	fields := 4
	if h.Features != 0 {
		fields = 5
	}
	dst = appendArray(dst, fields)
	dst = appendUint(dst, uint64(h.Version))
	dst = appendStr(dst, h.SDKLanguage)
	dst = appendStr(dst, h.SDKVersion)
	dst = appendUint(dst, uint64(h.PID))
	if h.Features != 0 {
		dst = appendUint(dst, uint64(h.Features))
	}
	return dst
}

// DecodeServerHello reads the server's hello.
func DecodeServerHello(body []byte) (ServerHello, error) {
	var h ServerHello
	d := newDecoder("hello", body, nil)
	a := d.array()
	if a.more() {
		h.Version = uint16(d.uintTo(math.MaxUint16))
	}
	if a.more() {
		h.SDKLanguage = d.str()
	}
	if a.more() {
		h.SDKVersion = d.str()
	}
	if a.more() {
		h.PID = uint32(d.uintTo(math.MaxUint32))
	}
	if a.more() {
		h.Features = uint32(d.uintTo(math.MaxUint32))
	}
	d.rest(a)
	return h, d.done()
}

// AppendAsk appends the body of an ask. Each argument is one MessagePack value.
func AppendAsk(dst []byte, a *Ask) []byte {
	dst = appendArray(dst, 1+len(a.Args))
	dst = appendUint(dst, uint64(a.Fn))
	for _, arg := range a.Args {
		dst = appendRaw(dst, arg)
	}
	return dst
}

// DecodeAsk reads the body of an ask. The arguments are views of body; a nil argument is nil.
func DecodeAsk(body []byte) (Ask, error) {
	var ask Ask
	d := newDecoder("ask", body, nil)
	a := d.array()
	if a.more() {
		ask.Fn = AskFn(d.uintTo(math.MaxUint16))
	}
	for a.more() && d.err == nil {
		ask.Args = append(ask.Args, d.raw())
	}
	return ask, d.done()
}

// AppendAnswer appends the body of an answer. Bytes over ChunkSize are named only by their length: the sender sends them as
// chunks first.
func AppendAnswer(dst []byte, a *Answer) []byte {
	dst = appendArray(dst, 2)
	if a.Err != nil {
		dst = appendArray(dst, 2)
		dst = appendStr(dst, a.Err.Code)
		dst = appendStr(dst, a.Err.Message)
		return appendNil(dst)
	}
	dst = appendNil(dst)
	if a.IsBytes {
		return appendBody(dst, a.Bytes)
	}
	return appendRaw(dst, a.Value)
}

// DecodeAnswer reads the body of an answer. IsBytes is true when the value is bin, in place or chunked. Bytes and Value are views
// of body and bulk.
func DecodeAnswer(body, bulk []byte) (Answer, error) {
	var ans Answer
	d := newDecoder("answer", body, bulk)
	a := d.array()
	if a.more() {
		ans.Err = d.error()
	}
	if a.more() && d.i < len(d.b) {
		switch d.b[d.i] {
		case mpBin8, mpBin16, mpBin32, mpFixExt8, mpExt8:
			ans.Bytes, ans.IsBytes = d.bin()
		default:
			ans.Value = d.raw()
		}
	}
	d.rest(a)
	return ans, d.done()
}

// AppendLog appends the body of a log line.
func AppendLog(dst []byte, l *LogLine) []byte {
	dst = appendArray(dst, 2)
	dst = appendUint(dst, uint64(l.Level))
	return appendBinStr(dst, l.Message)
}

// DecodeLog reads the body of a log line. The message is a view of body.
func DecodeLog(body []byte) (LogLine, error) {
	var l LogLine
	d := newDecoder("log", body, nil)
	a := d.array()
	if a.more() {
		l.Level = uint8(d.uintTo(math.MaxUint8))
	}
	if a.more() {
		l.Message = d.str()
	}
	d.rest(a)
	return l, d.done()
}

// AppendGoAway appends the body of a goaway.
func AppendGoAway(dst []byte, g *GoAway) []byte {
	dst = appendArray(dst, 2)
	dst = appendStr(dst, g.Code)
	return appendStr(dst, g.Message)
}

// DecodeGoAway reads the body of a goaway.
func DecodeGoAway(body []byte) (GoAway, error) {
	var g GoAway
	d := newDecoder("goaway", body, nil)
	a := d.array()
	if a.more() {
		g.Code = d.str()
	}
	if a.more() {
		g.Message = d.str()
	}
	d.rest(a)
	return g, d.done()
}
