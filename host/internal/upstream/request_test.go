package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func written(t *testing.T, r *Request) (string, error) {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriterSize(&b, writeBuffer)
	err := error(nil)
	if r.beside() {
		r.writeHead(w)
		err = r.writeBody(w, func() error { return nil })
	} else {
		err = r.write(w)
	}
	if ferr := w.Flush(); err == nil {
		err = ferr
	}
	return b.String(), err
}

func TestRequestOnTheWire(t *testing.T) {
	const fields = "A: b\r\n"
	long := strings.Repeat("long body", 1000)
	for name, c := range map[string]struct {
		r    Request
		want string
	}{
		"get":            {Request{Method: "GET"}, "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n"},
		"head":           {Request{Method: "HEAD"}, "HEAD /x HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n"},
		"post, nothing":  {Request{Method: "POST"}, "POST /x HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 0\r\n\r\n"},
		"get with body":  {Request{Method: "GET", Body: []byte("abc")}, "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 3\r\n\r\nabc"},
		"fixed stream":   {Request{Method: "PUT", Stream: strings.NewReader("abc"), Size: 3}, "PUT /x HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 3\r\n\r\nabc"},
		"long stream":    {Request{Method: "PUT", Stream: strings.NewReader(long), Size: len(long)}, "PUT /x HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 9000\r\n\r\n" + long},
		"empty stream":   {Request{Method: "GET", Stream: strings.NewReader(""), Size: 0}, "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 0\r\n\r\n"},
		"chunked stream": {Request{Method: "PUT", Stream: strings.NewReader("0123456789abcdefg"), Size: -1}, "PUT /x HTTP/1.1\r\nHost: h\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n"},
	} {
		c.r.Target, c.r.Host, c.r.Fields = []byte("/x"), []byte("h"), []byte(fields)
		if got, err := written(t, &c.r); err != nil || got != c.want {
			t.Errorf("%s: %q %v, expected %q", name, got, err, c.want)
		}
	}
}

// Nothing that is put into a head ends a line of it.
func TestRequestKeepsItsLines(t *testing.T) {
	r := Request{Method: "GET", Target: []byte("/a\r\nB: c"), Host: []byte("h\nB: c")}
	r.Add("X\r\nB", "v\r\nB: c\n")
	got, err := written(t, &r)
	if want := "GET /a  B: c HTTP/1.1\r\nHost: h B: c\r\nX  B: v  B: c \r\n\r\n"; err != nil || got != want {
		t.Errorf("%q %v, expected %q", got, err, want)
	}
}

// A stream that is not as long as announced is an error, and no byte too many is sent.
func TestStreamsOfAnotherLength(t *testing.T) {
	for _, size := range []int{3, 2 * inline} {
		for n, want := range map[int]string{size - 1: fmt.Sprintf("%d bytes, %d were announced", size-1, size), size + 1: fmt.Sprintf("longer than the %d bytes", size)} {
			text := strings.Repeat("b", n)
			r := Request{Method: "PUT", Target: []byte("/"), Host: []byte("h"), Stream: strings.NewReader(text), Size: size}
			got, err := written(t, &r)
			if err == nil || !strings.Contains(err.Error(), want) || n > size && strings.Contains(got, text) {
				t.Errorf("%d of %d bytes: %q %v", n, size, got, err)
			}
		}
	}
	broken := errors.New("gone")
	for _, size := range []int{3, 2 * inline, -1} {
		r := Request{Method: "PUT", Target: []byte("/"), Host: []byte("h"), Stream: io.MultiReader(strings.NewReader("ab"), errReader{broken}), Size: size}
		if _, err := written(t, &r); !errors.Is(err, broken) {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func TestRequestAllocatesNothing(t *testing.T) {
	w := bufio.NewWriterSize(io.Discard, writeBuffer)
	var r Request
	if n := testing.AllocsPerRun(100, func() {
		r.Reset()
		r.Method, r.Target, r.Host, r.Body = "POST", append(r.Target, "/a/b"...), append(r.Host, "host"...), []byte(nil)
		r.Add("Accept", "*/*")
		r.Add("Via", "1.1 x")
		if err := r.write(w); err != nil {
			t.Fatal(err)
		}
		w.Reset(io.Discard)
	}); n != 0 {
		t.Errorf("%v allocations, expected 0", n)
	}
}
