package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestKindsOfErrors(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	silent := newPeer(t, func(int, net.Conn, *bufio.Reader) { <-hang })
	half := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
		answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")(n, c, br)
		<-hang
	})
	nonsense := newPeer(t, answers("SSH-2.0 hello\r\n\r\n"))
	switching := newPeer(t, answers("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"))
	endless := newPeer(t, answers(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 200)))
	twoLengths := newPeer(t, answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"))
	gone := newPeer(t, nil)
	gone.ln.Close()
	tr := transport(t, Options{})
	quick := func(p *peer) *Target {
		to := p.target()
		to.ReadTimeout, to.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
		return to
	}
	brokenBody := io.MultiReader(strings.NewReader("abc"), errReader{errors.New("client is gone")})
	slowBody := io.MultiReader(strings.NewReader("abc"), errReader{timeoutError{}})
	for _, c := range []struct {
		name, want string
		to         *Target
		body       io.Reader
	}{
		{"refused", "connect", gone.target(), nil},
		{"unknown name", "resolve", &Target{Host: "no-such-host.invalid", Port: 80, ConnectTimeout: 2 * time.Second}, nil},
		{"silent", "timeout", quick(silent), nil},
		{"half a small body", "timeout", quick(half), nil},
		{"nonsense", "bad response", nonsense.target(), nil},
		{"switching protocols", "bad response", switching.target(), nil},
		{"interim answers without end", "bad response", endless.target(), nil},
		{"two lengths", "bad response", twoLengths.target(), nil},
		{"the client's body breaks", "body", silent.target(), brokenBody},
		{"the client is too slow", "body", silent.target(), slowBody},
		{"the upstream does not read", "timeout", quick(silent), io.LimitReader(zeros{}, 64<<20)},
	} {
		start := time.Now()
		_, _, err := try(tr, c.to, "GET", c.body, 0)
		if kind(err) != c.want {
			t.Errorf("%s: %s (%v), want %s", c.name, kind(err), err, c.want)
		}
		if took := time.Since(start); took > patience {
			t.Errorf("%s took %v", c.name, took)
		}
	}
	if idle(tr) != 0 {
		t.Error("a connection is kept after an error")
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func TestBracketsOfIPv6(t *testing.T) {
	for _, host := range []string{"::1", "[::1]"} {
		if got := (&Target{Host: host, Port: 80}).Address(); got != "[::1]:80" {
			t.Errorf("%s gives %s", host, got)
		}
	}
}
