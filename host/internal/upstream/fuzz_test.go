package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/iotest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
	"github.com/outrigger-gateway/outrigger/host/internal/timedconn"
	"github.com/outrigger-gateway/outrigger/host/internal/wirecorpus/responses"
)

// corpus adds the responses of all cases to a fuzz target.
func corpus(f *testing.F) {
	cases, err := responses.Cases()
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		f.Add(c.Response(), c.Method == "HEAD")
	}
	f.Add([]byte(usualHead+"hello, world"), false)
	f.Add([]byte(usualHead), true)
}

// wire is a connection on which a response has come and then the end.
type wire struct {
	net.Conn
	io.Reader
	closed bool
}

func (w *wire) Read(p []byte) (int, error)       { return w.Reader.Read(p) }
func (w *wire) Write(p []byte) (int, error)      { return len(p), nil }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
func (w *wire) Close() error                     { w.closed = true; return nil }

// outcome is what became of a response.
type outcome struct {
	status int
	body   string
	failed bool // before the head was whole, or in the body
	kept   bool
	head   string
}

// received reads a response as a connection does.
func received(t *testing.T, r io.Reader, head bool) (o outcome, left int) {
	w := &wire{Reader: r}
	p := &pool{transport: &Transport{opts: Options{IdlePerTarget: 1}.withDefaults()}}
	c := &conn{pool: p, longest: readBuffer, net: timedconn.Conn{Conn: w}}
	c.br, c.bw = bufio.NewReaderSize(&c.net, readBuffer), bufio.NewWriterSize(&c.net, writeBuffer)
	req, resp := request("GET"), &fasthttp.Response{}
	if head {
		req.Method = "HEAD"
	}
	req.Trailers = true
	resp.Header.DisableNormalizing()
	resp.Header.SetNoDefaultContentType(true)
	if _, err := c.exchange(req, resp, time.Time{}); err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindBadResponse {
			t.Fatalf("%v", err)
		}
		o.failed = true
		return o, 0
	}
	o.status = resp.StatusCode()
	for k, v := range resp.Header.All() {
		o.head += fmt.Sprintf("%s: %s\n", k, v)
		if ofHop(k) || !httpbyte.IsToken(k) {
			t.Errorf("the header %q is passed on", k)
		}
	}
	body := resp.Body
	if resp.IsBodyStream() {
		b, err := io.ReadAll(resp.BodyStream())
		o.failed = err != nil
		body = func() []byte { return b }
		for name, value := range resp.BodyStream().(*Body).Trailers() {
			if ofHop(name) || ofFraming(name) || !httpbyte.IsToken(name) || !httpbyte.IsText(value) {
				t.Errorf("the trailer %q: %q is passed on", name, value)
			}
		}
		if err := resp.CloseBodyStream(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	o.body = string(body())
	o.kept = len(p.idle) > 0
	if o.kept == w.closed {
		t.Errorf("kept %t, closed %t", o.kept, w.closed)
	}
	return o, c.br.Buffered()
}

// A response is understood in one way: it does not matter in which pieces it comes, and what we take, the standard library takes for the same.
func FuzzResponse(f *testing.F) {
	corpus(f)
	f.Fuzz(func(t *testing.T, data []byte, head bool) {
		source := bytes.NewReader(data)
		whole, left := received(t, source, head)
		pieces, _ := received(t, iotest.OneByteReader(bytes.NewReader(data)), head)
		// Bytes behind a response may come later than it; then the next use of the connection finds them.
		pieces.kept = pieces.kept && left == 0 && whole.kept
		if whole != pieces {
			t.Fatalf("in one piece %+v\nbyte by byte %+v", whole, pieces)
		}
		if whole.kept && left > 0 {
			t.Fatalf("%d bytes are left on a connection that is kept", left)
		}
		if whole.failed || whole.status == 0 {
			return
		}
		if other := standard(data, head); other != fmt.Sprint(whole.status, whole.body) {
			t.Fatalf("we read %d %q, net/http %s", whole.status, whole.body, other)
		}
	})
}

// standard is the same as net/http understands it.
func standard(data []byte, head bool) string {
	method := "GET"
	if head {
		method = "HEAD"
	}
	br := bufio.NewReader(bytes.NewReader(data))
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return err.Error()
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(resp.StatusCode, string(body))
	}
}
