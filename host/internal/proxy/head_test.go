package proxy

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/guard"
)

// fasthttp finds in a stand-in what the request says of the response and of the connection, and nothing else.
func TestStandIns(t *testing.T) {
	for request, want := range map[string]struct{ head, closes bool }{
		"GET /a HTTP/1.1\r\nHost: x\r\n\r\n":                                               {},
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n": {},
		"HEAD /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n":                {head: true},
		"GET /a HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n":                       {closes: true},
		"HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":                         {head: true, closes: true},
		"GET /a HTTP/1.0\r\n\r\n":                                                          {closes: true},
		"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n":                                {},
		"HEAD /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n":                               {head: true},
		"HEAD /a HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n":                        {head: true, closes: true},
	} {
		in := guard.Reader{Source: bytes.NewReader([]byte(request))}
		if _, err := in.Fill(); err != nil {
			t.Fatal(err)
		}
		h := heads.Get().(*head)
		if ok, err := in.Next(&h.wire, &testServer.Limits); !ok || err != nil {
			t.Fatal(request, ok, err)
		}
		h.take()
		if len(h.standIn()) > standInSize {
			t.Errorf("%q has %d bytes", h.standIn(), len(h.standIn()))
		}
		var seen fasthttp.Request
		seen.Header.DisableNormalizing()
		if err := seen.Header.Read(bufio.NewReader(bytes.NewReader(h.standIn()))); err != nil {
			t.Fatal(err)
		}
		if seen.Header.IsHead() != want.head || seen.Header.ConnectionClose() != want.closes || seen.Header.IsHTTP11() == h.http10 || seen.Header.ContentLength() > 0 || seen.MayContinue() {
			t.Errorf("%q: %q", request, h.standIn())
		}
		h.release()
	}
}

func TestHeadTakesNoMemory(t *testing.T) {
	data := []byte("GET /a/b?c=d HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: x/1.0 (y; z)\r\nX-Empty: \r\nCookie: a=b; c=d\r\nCookie: e=f\r\n\r\n")
	src := bytes.NewReader(data)
	in, h := guard.Reader{Source: src}, new(head)
	in.Use(make([]byte, guard.FirstSize))
	if n := testing.AllocsPerRun(100, func() {
		src.Reset(data)
		if _, err := in.Fill(); err != nil {
			t.Fatal(err)
		}
		if ok, _ := in.Next(&h.wire, &testServer.Limits); !ok {
			t.Fatal("refused")
		}
		h.take()
		h.empty()
	}); n != 0 {
		t.Errorf("%v allocations, expected 0", n)
	}
}
