package guard

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzRequests reads bytes as requests one behind the other, whole and in pieces, and compares with the parser of the standard library, which shares no
// code with this one and takes more: whatever passes here means the same there, down to the byte at which the next request begins.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		"GET /a/b?c=d HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: x/1.0 (y; z)\r\nX-Empty: \r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.0\r\n\r\n",
		"OPTIONS / HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close, upgrade\r\nUpgrade: x\r\n\r\n",
		"GET http://x/a/%2e%2e/b?%zz HTTP/1.1\r\nHost: X:80\r\n!#$%&'*+-.^_`|~: \xff\t\r\n\r\n",
	} {
		f.Add([]byte(seed), uint8(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		ours, rest, refused := requestsIn(bytes.NewReader(data))
		again, restAgain, refusedAgain := requestsIn(&pieces{string(data), max(int(size), 1)})
		if refused == "" && refusedAgain == "" && (strings.Join(ours, "\n") != strings.Join(again, "\n") || rest != restAgain) {
			t.Fatalf("%q: %q, in pieces %q", data, ours, again)
		}
		if len(again) > len(ours) || (refused == "") != (refusedAgain == "") {
			t.Fatalf("%q: %d requests, %s; in pieces %d requests, %s", data, len(ours), refused, len(again), refusedAgain)
		}
		br := bufio.NewReaderSize(bytes.NewReader(data), len(data)+16)
		for i, want := range ours {
			if b, _ := br.Peek(2); string(b) == "\r\n" { // the one empty line that may pass
				_, _ = br.Discard(2)
			}
			got, ok := theirs(br)
			if !ok {
				return // it takes a header for bad that the guard has no opinion of
			}
			if got != want {
				t.Fatalf("%q: request %d is %q, the other parser finds %q", data, i+1, want, got)
			}
		}
	})
}

// requestsIn reads requests until the end of src, or until one is refused.
func requestsIn(src io.Reader) (requests []string, rest, refused string) {
	r := Reader{Source: src}
	for {
		h := new(Head)
		ok, err := r.Next(h, &limits)
		if err != nil {
			return requests, "", err.Error()
		}
		if !ok {
			if _, err := r.Fill(); err != nil {
				return requests, string(r.buf[r.r:r.w]), ""
			}
			continue
		}
		var b Body
		b.Reset(&r, h.Length, &limits)
		body, err := io.ReadAll(&b)
		if err == io.ErrUnexpectedEOF {
			return requests, "", ""
		}
		if err != nil {
			return requests, "", err.Error()
		}
		host := h.Host
		if len(h.Authority) > 0 {
			host = h.Authority
		}
		requests = append(requests, string(h.Method)+" "+string(h.Target)+" "+string(host)+" "+string(body))
	}
}

// theirs reads a request with the standard library.
func theirs(br *bufio.Reader) (string, bool) {
	req, err := http.ReadRequest(br)
	if err != nil {
		return err.Error(), !strings.Contains(err.Error(), "trailer") && !strings.Contains(err.Error(), "invalid URI") && !strings.Contains(err.Error(), "parse ")
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err.Error(), true
	}
	return req.Method + " " + req.RequestURI + " " + req.Host + " " + string(body), true
}
