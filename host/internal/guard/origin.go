package guard

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Origin is what a PROXY header says: where the connection comes from that a load balancer passes on. The zero value: it does not say.
type Origin struct {
	Addr netip.Addr
	Port int
}

// The PROXY protocol of HAProxy, versions 1 and 2.
const (
	longestV1   = 107 // bytes, with the line end
	longestV2   = 16 + 4<<10
	v2Signature = "\r\n\r\n\x00\r\nQUIT\n"
	v1Signature = "PROXY "
)

// Origin takes the PROXY header with which a connection begins. false without an error: it is not all there yet, Fill. An error is a *Refusal: there is
// none, or it is malformed, and nobody should guess what the bytes mean.
func (r *Reader) Origin() (o Origin, ok bool, err error) {
	data := r.buf[r.r:r.w]
	begins := func(with string) bool { return bytes.HasPrefix(data, []byte(with)[:min(len(data), len(with))]) }
	size := 0
	switch {
	case len(data) == 0:
	case begins(v1Signature):
		o, size, err = originV1(data)
	case begins(v2Signature):
		o, size, err = originV2(data)
	default:
		err = refuse(ClassOrigin, "%s, expected one of version 1 or 2", shown(data))
	}
	if err != nil || size == 0 {
		return Origin{}, false, err
	}
	r.r += size
	return o, true, nil
}

// originV1 reads a line such as PROXY TCP4 192.0.2.1 192.0.2.2 1024 80. Its size is 0 when it is not all there yet.
func originV1(data []byte) (o Origin, size int, err error) {
	line, _, whole := bytes.Cut(data[:min(len(data), longestV1)], []byte("\r\n"))
	if !whole {
		if len(data) >= longestV1 || bytes.IndexByte(line, '\n') >= 0 {
			return o, 0, refuse(ClassOrigin, "%s, expected a line that ends in CRLF", shown(data))
		}
		return o, 0, nil
	}
	size = len(line) + 2
	parts := bytes.Split(line, []byte(" "))
	if string(parts[1]) == "UNKNOWN" {
		return o, size, nil
	}
	bad := refuse(ClassOrigin, "%s, expected PROXY, TCP4 or TCP6, two addresses and two ports", shown(line))
	if len(parts) != 6 || string(parts[1]) != "TCP4" && string(parts[1]) != "TCP6" {
		return o, 0, bad
	}
	for _, text := range parts[2:4] {
		a, err := netip.ParseAddr(string(text))
		if err != nil || a.Is4() != (string(parts[1]) == "TCP4") || a.Zone() != "" {
			return o, 0, bad
		}
	}
	for _, text := range parts[4:6] {
		if n, err := strconv.ParseUint(string(text), 10, 16); err != nil || strconv.FormatUint(n, 10) != string(text) {
			return o, 0, bad
		}
	}
	o.Addr, _ = netip.ParseAddr(string(parts[2]))
	o.Addr = o.Addr.Unmap()
	o.Port, _ = strconv.Atoi(string(parts[4]))
	return o, size, nil
}

// originV2 reads a binary header. Its size is 0 when it is not all there yet.
func originV2(data []byte) (o Origin, size int, err error) {
	if len(data) < 16 {
		return o, 0, nil
	}
	command, family, length := data[12], data[13], int(binary.BigEndian.Uint16(data[14:]))
	size = 16 + length
	switch {
	case command != 0x20 && command != 0x21:
		return o, 0, refuse(ClassOrigin, "version and command 0x%02x, expected 0x20 or 0x21", command)
	case size > longestV2:
		return o, 0, refuse(ClassLimit, "a PROXY header of %d bytes, the limit is %d", size, longestV2)
	case len(data) < size:
		return o, 0, nil
	case command == 0x20: // of the load balancer itself, such as a health check
		return o, size, nil
	}
	body := data[16:size]
	room := map[byte]int{0x11: 4, 0x21: 16}[family]
	switch {
	case room == 0: // not TCP, or not said
		return o, size, nil
	case length < 2*room+4:
		return o, 0, refuse(ClassOrigin, "%d bytes of addresses, expected %d", length, 2*room+4)
	}
	a, _ := netip.AddrFromSlice(body[:room])
	return Origin{a.Unmap(), int(binary.BigEndian.Uint16(body[2*room:]))}, size, nil
}
