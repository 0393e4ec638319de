package guard

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readBody reads the body of a request from what follows its head.
func readBody(src io.Reader, length int64) (body string, rest string, err error) {
	r := Reader{Source: src}
	var b Body
	b.Reset(&r, length, &limits)
	all, err := io.ReadAll(&b)
	left, _ := io.ReadAll(&r)
	if _, again := b.Read(make([]byte, 1)); err == nil && again != io.EOF || err != nil && again != err {
		return "", "", errors.New("the end is not sticky")
	}
	return string(all), string(left), err
}

func TestBodies(t *testing.T) {
	for _, c := range []struct {
		data string
		size int64
		body string
		rest string
	}{
		{"", 0, "", ""}, {"abcGET", 3, "abc", "GET"}, {"GET", 0, "", "GET"},
		{"0\r\n\r\nGET", Chunked, "", "GET"},
		{"3\r\nabc\r\n0\r\n\r\nGET", Chunked, "abc", "GET"},
		{"3\r\nabc\r\n00C\r\n\r\nhello\nyou\r\r\n0000\r\n\r\n", Chunked, "abc\r\nhello\nyou\r", ""},
		{"1;a;b=c;d=\"e \\\"f\tg\";h\r\nx\r\n0;last=\"\"\r\n\r\nrest", Chunked, "x", "rest"},
		{"1\r\nx\r\n0\r\nX-Late: 1\r\nA:\r\n\r\nrest", Chunked, "x", "rest"},
		{"0000000000000001\r\nx\r\n0\r\n\r\n", Chunked, "x", ""},
	} {
		for name, src := range map[string]io.Reader{"whole": strings.NewReader(c.data), "byte by byte": iotest.OneByteReader(strings.NewReader(c.data)), "with its end": iotest.DataErrReader(strings.NewReader(c.data))} {
			body, rest, err := readBody(src, c.size)
			if err != nil || body != c.body || rest != c.rest {
				t.Errorf("%q %s: %q, then %q, %v", c.data, name, body, rest, err)
			}
		}
	}
}

func TestBadBodies(t *testing.T) {
	for _, c := range []struct {
		data   string
		size   int64
		status int // 0: the client ended too early
	}{
		{"", 1, 0}, {"ab", 3, 0}, {"", Chunked, 0}, {"3", Chunked, 0}, {"3\r\n", Chunked, 0}, {"3\r\nab", Chunked, 0}, {"3\r\nabc", Chunked, 0}, {"3\r\nabc\r", Chunked, 0}, {"3\r\nabc\r\n", Chunked, 0},
		{"0\r\n", Chunked, 0}, {"0\r\nA: b\r\n", Chunked, 0},
		{"\r\n", Chunked, 400}, {"x\r\n", Chunked, 400}, {"-1\r\n", Chunked, 400}, {"+1\r\n", Chunked, 400}, {"0x1\r\nx\r\n", Chunked, 400}, {" 1\r\nx\r\n", Chunked, 400}, {"1 \r\nx\r\n", Chunked, 400},
		{"1\nx\r\n", Chunked, 400}, {"1\r\nx\n0\r\n\r\n", Chunked, 400}, {"1\r\nxy\r\n", Chunked, 400}, {"1\r\nx0\r\n\r\n", Chunked, 400}, {"1\rx\r\n", Chunked, 400}, {"1\r\nx\rx", Chunked, 400},
		{"10000000000000000\r\n", Chunked, 400}, {"8000000000000000\r\n", Chunked, 400}, {"ffffffffffffffff\r\n", Chunked, 400},
		{"1;\r\nx\r\n", Chunked, 400}, {"1; a\r\nx\r\n", Chunked, 400}, {"1 ;a\r\nx\r\n", Chunked, 400}, {"1;a=\r\nx\r\n", Chunked, 400}, {"1;a=\"b\r\nx\r\n", Chunked, 400}, {"1;a\x00\r\nx\r\n", Chunked, 400}, {"1;a=\"\x01\"\r\nx\r\n", Chunked, 400},
		{"1;a=\"b\\\r\nx\r\n", Chunked, 400}, {"1;a=\"b\"c\r\nx\r\n", Chunked, 400}, {"1,a\r\nx\r\n", Chunked, 400}, {"1;" + strings.Repeat("a", 2<<10) + "\r\n", Chunked, 400},
		{strings.Repeat("1;"+strings.Repeat("a", 500)+"\r\nx\r\n", 20), Chunked, 400},
		{"0\r\n\n", Chunked, 400}, {"0\r\nA: b\n\r\n", Chunked, 400}, {"0\r\nA : b\r\n\r\n", Chunked, 400}, {"0\r\n A: b\r\n\r\n", Chunked, 400}, {"0\r\nA\r\n\r\n", Chunked, 400}, {"0\r\nA: \x00\r\n\r\n", Chunked, 400},
		{"0\r\nContent-Length: 1\r\n\r\n", Chunked, 400}, {"0\r\ntransfer_encoding: chunked\r\n\r\n", Chunked, 400}, {"0\r\nHost: x\r\n\r\n", Chunked, 400}, {"0\r\nTrailer: x\r\n\r\n", Chunked, 400},
		{"0\r\n" + strings.Repeat("A: b\r\n", limits.Fields+1) + "\r\n", Chunked, 431}, {"0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 5) + "\r\n", Chunked, 431},
	} {
		for name, src := range map[string]io.Reader{"whole": strings.NewReader(c.data), "byte by byte": iotest.OneByteReader(strings.NewReader(c.data))} {
			_, _, err := readBody(src, c.size)
			var r *Refusal
			if c.status == 0 && err != io.ErrUnexpectedEOF || c.status != 0 && (!errors.As(err, &r) || r.Status != c.status) {
				t.Errorf("%.60q %s: %v, expected %d", c.data, name, err, c.status)
			}
		}
	}
}

// A body that is large and slow needs no more room than a small one.
func TestBodyRoom(t *testing.T) {
	const size = 1 << 20
	for length, data := range map[int64]io.Reader{
		size:    strings.NewReader(strings.Repeat("x", size)),
		Chunked: strings.NewReader("100000\r\n" + strings.Repeat("x", size) + "\r\n0\r\n\r\n"),
	} {
		r := Reader{Source: iotest.HalfReader(data)}
		r.Use(make([]byte, FirstSize))
		var b Body
		b.Reset(&r, length, &limits)
		n, err := io.Copy(io.Discard, &b)
		if n != size || err != nil || !b.Ended() {
			t.Errorf("%d bytes, %v", n, err)
		}
		if len(r.buf) != FirstSize {
			t.Errorf("room for %d bytes", len(r.buf))
		}
	}
}

// Requests one behind the other are taken one at a time, whatever the pieces are in which they come.
func TestPipelined(t *testing.T) {
	const text = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\nA: b\r\n\r\nGET /4 HTTP/1.0\r\n\r\n"
	for size := 1; size <= len(text); size++ {
		r := Reader{Source: &pieces{text, size}}
		h := new(Head)
		var got []string
		for {
			ok, err := r.Next(h, &limits)
			if err != nil {
				t.Fatalf("pieces of %d: %v", size, err)
			}
			if !ok {
				if _, err := r.Fill(); err != nil {
					break
				}
				continue
			}
			var b Body
			b.Reset(&r, h.Length, &limits)
			body, err := io.ReadAll(&b)
			if err != nil {
				t.Fatalf("pieces of %d: %v", size, err)
			}
			got = append(got, string(h.Target)+string(body))
			h.Reset()
		}
		if s := strings.Join(got, " "); s != "/1 /2abc /3GET  /4" || r.Buffered() != 0 {
			t.Fatalf("pieces of %d: %s, %d bytes left", size, s, r.Buffered())
		}
	}
}

// pieces gives text in pieces of size bytes.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}
