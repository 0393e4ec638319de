package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// spoils is a body_filter that fails.
type spoils struct{}

func (*spoils) BodyFilter(*pdk.PDK, []byte, bool) ([]byte, error) { return nil, errors.New("no") }

// A response that ends its connection reaches a client which goes on sending: what comes behind it is read, else the kernel would send a reset, which takes
// what the client has not read yet.
func TestLastResponseBesideWhatStillComes(t *testing.T) {
	denies := &access{func(k *pdk.PDK) error { return k.Response.Exit(401, "no", nil) }}
	interim := &access{func(k *pdk.PDK) error { return k.Response.Exit(199, nil, nil) }}
	cutOff := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	streams := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "all")
		_ = http.NewResponseController(w).Flush()
	})
	const (
		get  = "GET /api HTTP/1.1\r\nHost: x\r\n\r\n"
		more = 2 * 16 << 10 // bytes of requests behind it: more than the gateway reads at once
		long = 1 << 20
	)
	post := func(path, version, headers string, size int) string {
		return fmt.Sprintf("POST %s HTTP/%s\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", path, version, headers, size, strings.Repeat("b", size))
	}
	chunked := "POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat("c", 0x1000)+"\r\n", long/0x1000) + "0\r\n\r\n"
	behind := strings.Repeat(get, more/len(get))
	for _, c := range []struct {
		name, config string
		up           http.Handler
		send         string
		want, end    string
	}{
		{"a short body of a last request", "", echo, post("/none", "1.1", "Connection: close\r\n", skipMost), "404", "}"},
		{"a short body of HTTP/1.0", "", echo, post("/none", "1.0", "", skipMost), "404", "}"},
		{"a plugin says no to one", "plugins: [{name: denies}]\n", echo, post("/api", "1.1", "Connection: close\r\n", skipMost), "401", "no"},
		{"a filter fails", "plugins: [{name: spoils}]\n", echo, get + behind, "500", "}"},
		{"an interim status", "plugins: [{name: interim}]\n", echo, get + behind, "199", "\r\n\r\n"},
		{"the service breaks off", "", cutOff, get + behind, "200", "half\r\n"},
		{"a stream to HTTP/1.0", "", streams, strings.Replace(get, "1.1\r\n", "1.0\r\nConnection: keep-alive\r\n", 1) + behind, "200", "all"},
		{"a long body without a route", "", echo, post("/none", "1.1", "", long), "404", "}"},
		{"a plugin says no to a long body", "plugins: [{name: denies}]\n", echo, post("/api", "1.1", "Connection: close\r\n", long), "401", "no"},
		{"a plugin says no to chunks", "plugins: [{name: denies}]\n", echo, chunked, "401", "no"},
		{"too long", "limit", echo, post("/api", "1.1", "", long), "413", "\n"},
		{"too many chunks", "limit", echo, chunked, "413", "\n"},
		{"no request", "", echo, "GET  /\r\n" + behind, "400", "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := start(t, c.up, plain+strings.TrimPrefix(c.config, "limit"),
				[]pdk.Plugin{plugin("denies", 1, denies), plugin("interim", 1, interim), plugin("spoils", 1, &spoils{})}, func(o *Options) {
					if c.config == "limit" {
						o.MaxRequestBody = 64 << 10
					}
				})
			conn := dialTo(t, g.addr)
			var sending sync.WaitGroup
			sending.Go(func() { _, _ = io.WriteString(conn, c.send) })
			text, err := io.ReadAll(conn)
			sending.Wait()
			if err != nil {
				t.Error(err)
			}
			head, _, _ := strings.Cut(string(text), "\r\n\r\n")
			if !strings.HasPrefix(head, "HTTP/1.1 "+c.want) || !strings.HasSuffix(string(text), c.end) || strings.Count(string(text), "HTTP/1.1") != 1 {
				t.Errorf("the answer is %q", text)
			}
			conn.Close()
		})
	}
}
