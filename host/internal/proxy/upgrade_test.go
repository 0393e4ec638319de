package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// switcher is an upstream that switches to a protocol in which each line comes back, and says bye when the client has finished.
func switcher(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(r.Header.Get("Connection"), "keep-alive, Upgrade") {
		fmt.Fprintf(w, "upgrade %q, connection %q", r.Header.Get("Upgrade"), r.Header.Get("Connection"))
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Key: 1\r\n\r\nfirst\n")
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			if err == io.EOF {
				fmt.Fprint(c, "bye\n")
			}
			return
		}
		fmt.Fprint(c, "back ", line)
	}
}

// upgraded asks a gateway to switch, and sends more at once. It returns the connection, from behind the head of the response on.
func upgraded(t *testing.T, addr, more string) (*net.TCPConn, *bufio.Reader, *http.Response) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(nc, "GET /api HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"+more)
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	return nc.(*net.TCPConn), br, resp
}

func wantLine(t *testing.T, br *bufio.Reader, want string) {
	t.Helper()
	if line, err := br.ReadString('\n'); line != want+"\n" {
		t.Fatalf("%q %v, expected %q", line, err, want)
	}
}

// What either side sends after the switch reaches the other, until both have finished.
func TestTunnel(t *testing.T) {
	g := start(t, http.HandlerFunc(switcher), plain, nil)
	c, br, resp := upgraded(t, g.addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Connection") != "Upgrade" || resp.Header.Get("X-Key") != "1" ||
		resp.Header.Get("X-Kong-Request-Id") == "" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	for _, want := range []string{"first", "back GET / HTTP/1.1\r", "back Host: x\r", "back \r"} {
		wantLine(t, br, want)
	}
	fmt.Fprint(c, "more\n")
	wantLine(t, br, "back more")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantLine(t, br, "bye")
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	eventually(t, "the end of the request", func() bool { return g.proxy.inFlight.Load() == 0 })
}

// Only WebSocket is passed on, and only when the client asks for it as it should.
func TestUpgradesThatDoNotPass(t *testing.T) {
	g := start(t, http.HandlerFunc(switcher), plain, nil)
	for name, head := range map[string]string{
		"h2c":                 "GET /api HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: h2c\r\n",
		"one of two":          "GET /api HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
		"two lines":           "GET /api HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
		"not in Connection":   "GET /api HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n",
		"HTTP/1.0":            "GET /api HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
		"with a body":         "GET /api HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\nX: ",
		"not GET":             "DELETE /api HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
		"no protocol at all":  "GET /api HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade:\r\n",
		"Connection: Upgrade": "GET /api HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n",
	} {
		if name == "with a body" {
			head = "GET /api HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx"
		} else {
			head = strings.Replace(head, "\r\nHost: x\r\n", "\r\nHost: x\r\nConnection: close\r\n", 1) + "\r\n"
		}
		if text := g.text(head); !strings.HasPrefix(text, "HTTP/1.1 200") || !strings.HasSuffix(text, `upgrade "", connection "keep-alive"`) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// A plugin that answers in the place of a switch gets the switch undone.
func TestPluginAnswersASwitch(t *testing.T) {
	g := start(t, http.HandlerFunc(switcher), plain+"plugins: [{name: p}]\n",
		[]pdk.Plugin{plugin("p", 1, &response{func(k *pdk.PDK) error { return k.Response.Exit(403, "no", nil) }})})
	_, br, resp := upgraded(t, g.addr, "")
	body := make([]byte, 2)
	if _, err := io.ReadFull(br, body); err != nil || resp.StatusCode != 403 || string(body) != "no" || resp.Header.Get("Upgrade") != "" {
		t.Errorf("%s %q %v %v", resp.Status, body, resp.Header, err)
	}
}

// A tunnel on which nothing happens ends with the read timeout of the service, and one on which only one side speaks does not.
func TestIdleTunnel(t *testing.T) {
	t.Parallel() // it waits: long enough for a machine that is busy
	config := strings.Replace(plain, `{name: s, `, `{name: s, read_timeout: 2000, `, 1)
	g := start(t, http.HandlerFunc(switcher), config, nil)
	c, br, _ := upgraded(t, g.addr, "")
	wantLine(t, br, "first")
	begin := time.Now()
	for time.Since(begin) < 2200*time.Millisecond {
		fmt.Fprint(c, "more\n")
		wantLine(t, br, "back more")
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("the idle tunnel ended with %v", err)
	}
}

// Tunnels that are open when the server ends are closed when its time is over, not before.
func TestShutdownEndsTunnels(t *testing.T) {
	var open tunnels
	g := start(t, http.HandlerFunc(switcher), plain, nil)
	_, br, _ := upgraded(t, g.addr, "")
	wantLine(t, br, "first")
	open.end(context.Background()) // there are none
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g.proxy.tunnels.end(ctx)
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("the tunnel ended with %v", err)
	}
	_, _, resp := upgraded(t, g.addr, "")
	if resp.StatusCode != 502 {
		t.Errorf("a tunnel while the server ends: %s", resp.Status)
	}
}
