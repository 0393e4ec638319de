package examples

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// rawUpstream answers 200 and keeps the heads that it got, byte by byte.
type rawUpstream struct {
	listener net.Listener
	mu       sync.Mutex
	head     string // the last one
	reply    string // header lines of the answer
	done     sync.WaitGroup
}

func newRawUpstream(t *testing.T) *rawUpstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &rawUpstream{listener: ln}
	u.done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.done.Go(func() { u.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		u.done.Wait()
	})
	return u
}

func (u *rawUpstream) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	in := bufio.NewReader(c)
	for {
		var head strings.Builder
		for {
			l, err := in.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(l)
			if l == "\r\n" {
				break
			}
		}
		u.mu.Lock()
		u.head = head.String()
		reply := u.reply
		u.mu.Unlock()
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"+reply+"\r\nok"); err != nil {
			return
		}
	}
}

// values lists the values of a header that the upstream got last, in order.
func (u *rawUpstream) values(name string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var found []string
	for l := range strings.Lines(u.head) {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(k, name) {
			found = append(found, strings.TrimSpace(v))
		}
	}
	return found
}

// raw sends bytes on a connection of its own and reads one response.
func (g *gateway) raw(t *testing.T, text string) (*answer, error) {
	t.Helper()
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, text) // a refused request may not be read to its end
	}()
	defer func() { <-sent }()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, err
}

// Header values are bytes: what is no UTF-8, empty, or there twice comes through three languages as it was.
func TestLesson24HeaderBytes(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			up := newRawUpstream(t)
			g := launch{
				settings: settings{"plugin_servers": exampleServers(carrier), "max_header_line": "32k", "max_headers": 1000},
				entities: greetings("http://"+up.listener.Addr().String(), "hi"),
			}.start(t)
			for _, c := range []struct {
				name  string
				lines string
				want  string   // of the plugins
				names []string // X-Name at the upstream
			}{
				{"not UTF-8", "X-Name: a\xff\xfe\x80b\r\nX-Mood: \xc3\x28\r\n", "hi, a\xff\xfe\x80b (\xc3\x28)", []string{"a\xff\xfe\x80b"}},
				{"half a character", "X-Name: \xe6\xbc\r\n", "hi, \xe6\xbc", []string{"\xe6\xbc"}},
				{"surrogates in UTF-8", "X-Name: \xed\xb2\x80\xed\xa0\x80\r\n", "hi, \xed\xb2\x80\xed\xa0\x80", []string{"\xed\xb2\x80\xed\xa0\x80"}},
				{"Latin-1", "X-Name: Zo\xeb\r\n", "hi, Zo\xeb", []string{"Zo\xeb"}},
				{"UTF-8", "X-Name: Zoë 😀\r\n", "hi, Zoë 😀", []string{"Zoë 😀"}},
				{"empty", "X-Name:\r\nX-Mood: \r\n", "hi,  ()", []string{""}},
				{"twice", "X-Name: one\r\nX-Other: x\r\nx-name: two\r\n", "hi, one", []string{"one", "two"}},
				{"other case", "x-NAME: one\r\n", "hi, one", []string{"one"}},
				{"long", "X-Name: " + strings.Repeat("n", 20_000) + "\r\n", "hi, " + strings.Repeat("n", 20_000), []string{strings.Repeat("n", 20_000)}},
				{"many", "X-Name: one\r\n" + strings.Repeat("X-Filler: y\r\n", 300), "hi, one", []string{"one"}},
				{"tab inside", "X-Name: a\tb\r\n", "hi, a\tb", []string{"a\tb"}},
			} {
				a, err := g.raw(t, "GET /hello HTTP/1.1\r\nHost: example\r\n"+c.lines+"Connection: close\r\n\r\n")
				if err != nil || a.status != 200 {
					t.Errorf("%s: found %v, expected 200; %v", c.name, a, err)
					continue
				}
				for _, l := range languages {
					a.wantHeader(t, "X-Hello-"+l.suffix, c.want)
					if found := up.values("X-Hello-" + l.suffix); !equal(found, []string{c.want}) {
						t.Errorf("%s: the upstream got X-Hello-%s: %q, expected %q", c.name, l.suffix, found, c.want)
					}
				}
				if found := up.values("X-Name"); !equal(found, c.names) {
					t.Errorf("%s: the upstream got X-Name: %q, expected %q", c.name, found, c.names)
				}
			}

			// The same for what the upstream answers. A header that a plugin set before the upstream answered stands beside the upstream's.
			up.mu.Lock()
			up.reply = "X-Latin: Zo\xeb\r\nX-Empty:\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nx-hello-go: mine\r\n"
			up.mu.Unlock()
			a, err := g.raw(t, "GET /hello HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n")
			if err != nil {
				t.Fatal(err)
			}
			a.want(t, 200).wantHeader(t, "X-Latin", "Zo\xeb").wantHeader(t, "X-Empty", "").wantHeader(t, "Set-Cookie", "a=1", "b=2").wantHeader(t, "X-Hello-Go", "mine", "hi, world")
		})
	}
}

// A head that is too large is refused before any plugin sees it, and the gateway goes on.
func TestHeaderTooLarge(t *testing.T) {
	t.Parallel()
	up := newRawUpstream(t)
	g := launch{
		settings: settings{"plugin_servers": exampleServers("msgpack"), "max_header_line": "31k"},
		entities: greetings("http://"+up.listener.Addr().String(), "hi"),
	}.start(t)
	for _, head := range []string{
		"X-Name: " + strings.Repeat("n", 64<<10) + "\r\n",
		strings.Repeat("X-Name: "+strings.Repeat("n", 1000)+"\r\n", 64),
		strings.Repeat("n", 64<<10) + ": x\r\n",
	} {
		a, err := g.raw(t, "GET /hello HTTP/1.1\r\nHost: example\r\n"+head+"\r\n")
		if err != nil || a.status != 431 && a.status != 400 {
			t.Errorf("found %v %v, expected 431 or 400", a, err)
		}
	}
	if a, err := g.raw(t, "GET /"+strings.Repeat("p", 64<<10)+" HTTP/1.1\r\nHost: example\r\n\r\n"); err != nil || a.status < 400 || a.status > 431 {
		t.Errorf("a target of 64 KiB: found %v %v, expected 431, 414 or 400", a, err)
	}
	if up.values("Host") != nil {
		t.Error("a refused request has reached the upstream")
	}
	g.get(t, "/hello").want(t, 200).wantHeader(t, "X-Hello-Js", "hi, world")
	// What a plugin makes too large for the upstream or the client is its own business; the gateway passes it or fails the request.
	a, err := g.raw(t, fmt.Sprintf("GET /hello HTTP/1.1\r\nHost: example\r\nX-Name: %s\r\nConnection: close\r\n\r\n", strings.Repeat("n", 30_000)))
	if err != nil || a.status != 200 {
		t.Errorf("a header of 30,000 bytes: found %v, expected 200; %v", a, err)
	}
}
