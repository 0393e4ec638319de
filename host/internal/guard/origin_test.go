package guard

import (
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// origin takes the PROXY header of what comes, and gives what follows.
func origin(src io.Reader) (o Origin, rest string, ok bool, err error) {
	r := Reader{Source: src}
	for {
		if o, ok, err = r.Origin(); ok || err != nil {
			break
		}
		if _, ferr := r.Fill(); ferr != nil {
			break
		}
	}
	b, _ := io.ReadAll(&r)
	return o, string(b), ok, err
}

const v2 = v2Signature

func TestOrigin(t *testing.T) {
	for _, c := range []struct{ header, addr string }{
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1024 80\r\n", "192.0.2.1:1024"},
		{"PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n", "[2001:db8::1]:0"},
		{"PROXY UNKNOWN\r\n", ""}, {"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ""},
		{v2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\x00\x00\x50", "192.0.2.1:1024"},
		{v2 + "\x21\x11\x00\x10\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\x00\x00\x50\x04\x00\x01x", "192.0.2.1:1024"}, // with a TLV
		{v2 + "\x21\x21\x00\x24" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + strings.Repeat("\x00", 16) + "\x00\x07\x00\x50", "[2001:db8::1]:7"},
		{v2 + "\x20\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\x00\x00\x50", ""}, {v2 + "\x20\x00\x00\x00", ""}, {v2 + "\x21\x00\x00\x00", ""}, {v2 + "\x21\x31\x00\x02ab", ""},
	} {
		for _, src := range []io.Reader{strings.NewReader(c.header + "GET /"), iotest.OneByteReader(strings.NewReader(c.header + "GET /"))} {
			o, rest, ok, err := origin(src)
			got := ""
			if o.Addr.IsValid() {
				got = netip.AddrPortFrom(o.Addr, uint16(o.Port)).String()
			}
			if !ok || err != nil || rest != "GET /" || got != c.addr {
				t.Errorf("%q: %s, then %q, %v %v", c.header, got, rest, ok, err)
			}
		}
	}
}

func TestBadOrigin(t *testing.T) {
	for _, header := range []string{
		"GET / HTTP/1.1\r\n", "proxy TCP4", "PROXY\r\n", "PROXY TCP4\r\n", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "PROXY UNKNOWN " + strings.Repeat("x", 200),
		v2 + "\x11\x11\x00\x0c", v2 + "\x22\x11\x00\x0c", v2 + "\x21\x11\xff\xff", v2 + "\x21\x11\x00\x04abcd", "\r\n\r\n\x00\r\nQUIx",
	} {
		if _, _, ok, err := origin(strings.NewReader(header)); ok || err == nil || !strings.Contains(err.Error(), "PROXY header") || strings.Contains(err.Error(), "request line") {
			t.Errorf("%q: %v %v, expected what is wrong with the PROXY header", header, ok, err)
		}
	}
	for _, half := range []string{"", "P", "PROXY TCP4 1.2.3.4", "\r\n\r\n", v2, v2 + "\x21\x11\x00\x0cabc"} {
		if _, _, ok, err := origin(strings.NewReader(half)); ok || err != nil {
			t.Errorf("%q: %v %v, expected to wait for more", half, ok, err)
		}
	}
}
