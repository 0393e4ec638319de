package examples

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// counted counts what is written.
type counted struct {
	io.Writer
	n *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// A client that does not read stops the upstream, through a body filter in another process: what is on its way stays small, and the gateway and the
// plugin servers keep none of it. When the client reads again, everything comes as it was sent.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			testBackPressure(t, carrier)
		})
	}
}

func testBackPressure(t *testing.T, carrier string) {
	const size, onTheWay = 64 << 20, 48 << 20 // the body; the most that sockets may hold of it, which grow to 6 MiB and 4 MiB each
	sent := map[string]*atomic.Int64{}
	var list []string
	for _, l := range languages {
		sent["/"+l.name] = &atomic.Int64{}
		list = append(list, route("/"+l.name, "{name: stamp-"+l.name+", config: {trailer: ''}}"))
	}
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(counted{w, sent[r.URL.Path]}, random(7, size)) // the client sees when it fails
	})
	g := launch{binary: built.plain, settings: settings{"plugin_servers": exampleServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
	before := status(t, g.pid, "VmRSS")
	bodies := map[string]io.ReadCloser{}
	for _, l := range languages {
		bodies["/"+l.name] = unread(t, g, "/"+l.name)
	}
	for path, n := range sent {
		stalled := stalls(t, path, n)
		if stalled > onTheWay {
			t.Errorf("%s over %s: the upstream has sent %d bytes to a client that reads nothing, expected at most %d", path, carrier, stalled, onTheWay)
		}
		t.Logf("%s over %s: the upstream stalls after %d KiB", path, carrier, stalled>>10)
	}
	const growth = 64 << 10 // KiB
	if now := status(t, g.pid, "VmRSS"); now > before+growth {
		t.Errorf("over %s: the gateway grew from %d KiB to %d KiB with three streams that stand still, expected at most %d KiB more", carrier, before, now, growth)
	}
	want, _ := digest(t, random(7, size))
	for path, body := range bodies {
		if sum, n := digest(t, body); sum != want || n != size {
			t.Errorf("%s over %s: %d bytes came with the hash %s, expected %d with %s", path, carrier, n, sum, int64(size), want)
		}
		body.Close()
	}
}

// unread sends a request, reads the head of the answer, and leaves the body where it is.
func unread(t *testing.T, g *gateway, path string) io.ReadCloser {
	t.Helper()
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(6 * patience))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if resp.StatusCode != 200 {
		var text bytes.Buffer
		_, _ = io.CopyN(&text, resp.Body, 1000)
		t.Fatalf("%s: found %d %s", path, resp.StatusCode, &text)
	}
	return resp.Body
}

// stalls waits until nothing has been sent for a second, and says how much was sent by then.
func stalls(t *testing.T, path string, sent *atomic.Int64) int64 {
	t.Helper()
	last, since := sent.Load(), time.Now()
	eventually(t, 2*patience, path+" to stand still", func() (bool, string) {
		if n := sent.Load(); n != last || n == 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > time.Second, fmt.Sprint(last, " bytes sent")
	})
	return last
}
