package spoe

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
)

// message is a NOTIFY frame as HAProxy sends it, without its length.
func message(stream, id uint64, args ...string) []byte {
	b := []byte{notify, 0, 0, 0, fin}
	b = appendVarint(appendVarint(b, stream), id)
	b = append(appendString(b, "hello"), byte(len(args)/2))
	for i := 0; i < len(args); i += 2 {
		b = append(appendString(b, args[i]), typeString)
		b = appendString(b, args[i+1])
	}
	return b
}

func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func TestVarints(t *testing.T) {
	for n, want := range map[uint64][]byte{0: {0}, 239: {239}, 240: {240, 0}, 2287: {255, 127}, 2288: {240, 128, 0}, 264431: {255, 255, 127}, 264432: {240, 128, 128, 0}} {
		got := appendVarint(nil, n)
		if !bytes.Equal(got, want) {
			t.Errorf("%d is %v, expected %v", n, got, want)
		}
		c := cursor{b: want}
		if back := c.varint(); back != n || c.bad || len(c.b) > 0 {
			t.Errorf("%v reads as %d, expected %d", want, back, n)
		}
	}
}

func TestPipelinedMessages(t *testing.T) {
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- serve(ours) }()
	both := append(framed(message(7, 1, "name", "Ada", "ua", "curl")), framed(message(300, 2, "name", "Bob", "ua", ""))...)
	go func() { _, _ = theirs.Write(both) }()
	want := framed(append([]byte{ack, 0, 0, 0, fin, 7, 1, setVar, 3, scopeTxn, 8}, "greeting\x08\x0dgood day, Ada"...))
	want = append(want, framed([]byte{ack, 0, 0, 0, fin, 0xfc, 3, 2})...) // no user agent: nothing is set
	got := make([]byte, len(want))
	for n := 0; n < len(got); {
		m, err := theirs.Read(got[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	_ = theirs.Close()
	if err := <-done; err == nil {
		t.Error("serve came back without an error")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(message(1, 1, "name", "Ada", "ua", "curl"))
	f.Add([]byte{haproxyHello, 0, 0, 0, fin, 0, 0})
	f.Fuzz(func(t *testing.T, frame []byte) {
		out, err := answer(nil, frame)
		if err == nil && int(binary.BigEndian.Uint32(out)) != len(out)-4 {
			t.Errorf("a frame of %d bytes says %d", len(out)-4, binary.BigEndian.Uint32(out))
		}
	})
}
