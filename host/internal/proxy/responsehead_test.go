package proxy

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Headers that plugins set before the response was there are added to it. When nobody looks at the response they are added to the head as it came,
// otherwise the head is made anew; the client cannot tell.
func TestHeadersAddedToTheResponse(t *testing.T) {
	add := &access{func(k *pdk.PDK) error {
		for _, h := range [][2]string{
			{"X-Added", "1"}, {"x-lower", "2"}, {"X-Same", "plugin"}, {"Content-Type", "a/b"}, {"Content-Length", "7"}, {"Connection", "X-Added"},
			{"Keep-Alive", "1"}, {"Trailer", "X-Added"}, {"Set-Cookie", "plugin=1"}, {"Server", "plugin"}, {"Date", "Sun, 06 Nov 1994 08:49:38 GMT"}, {"Content-Encoding", "none"},
		} {
			if err := k.Response.AddHeader(h[0], h[1]); err != nil {
				return err
			}
		}
		return k.Response.SetStatus(404)
	}}
	var seen pdk.MultiMap
	look := &headerFilter{func(k *pdk.PDK) (err error) {
		seen, err = k.Response.GetHeaders(-1)
		return err
	}}
	changing := regexp.MustCompile(`(X-Kong-Request-Id|X-Kong-[A-Za-z-]*Latency): [0-9a-f]+`)
	const date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
	for _, upstream := range []string{
		"HTTP/1.1 201 Created\r\n" + date + "Server: up\r\nContent-Type: text/plain\r\nX-Same: up\r\nSet-Cookie: up=1\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 201 Created\r\n" + date + "X-Same: up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	} {
		var texts []string
		for _, config := range []string{"plugins: [{name: add}]\n", "plugins: [{name: add}, {name: look}]\n"} {
			g, _ := startCanned(t, upstream, config, plugin("add", 2, add), plugin("look", 1, look))
			text := g.text("GET /api HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			head, body, _ := strings.Cut(changing.ReplaceAllString(text, "$1: ?"), "\r\n\r\n")
			lines := strings.Split(head, "\r\n")
			slices.SortStableFunc(lines[1:], func(a, b string) int { return strings.Compare(nameOf(a), nameOf(b)) })
			texts = append(texts, strings.Join(lines, "\r\n")+"\r\n\r\n"+body)
		}
		if texts[0] != texts[1] {
			t.Errorf("added to the head as it came:\n%q\nwith the head made anew:\n%q", texts[0], texts[1])
		}
	}
	if got := seen.Values("x-same"); len(got) != 2 || got[0] != "up" || got[1] != "plugin" {
		t.Errorf("the filter saw %v", got)
	}
}

func nameOf(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return name
}
