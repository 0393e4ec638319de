//go:build linux

package proxy

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// A client that goes while its service works: the service is told, nothing is tried again, and log and filters run with status 499.
func TestClientGoneDuringUpstream(t *testing.T) {
	for name, leave := range map[string]func(c net.Conn) error{
		"closed": net.Conn.Close, "half closed": func(c net.Conn) error { return c.(*net.TCPConn).CloseWrite() },
		"reset": func(c net.Conn) error { _ = c.(*net.TCPConn).SetLinger(0); return c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			began, told := make(chan struct{}, 4), make(chan struct{}, 4)
			up := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				began <- struct{}{}
				<-r.Context().Done()
				told <- struct{}{}
			})
			statuses := make(chan int, 4)
			logs := &logPlugin{func(k *pdk.PDK) error {
				statuses <- k.Response.GetStatus()
				return nil
			}}
			g := start(t, up, plain+"plugins: [{name: logs}]\n", []pdk.Plugin{plugin("logs", 1, logs)})
			c := dialTo(t, g.addr)
			sendTo(t, c, "GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
			<-began
			if err := leave(c); err != nil {
				t.Fatal(err)
			}
			<-told
			if status := <-statuses; status != statusClientGone {
				t.Errorf("status %d", status)
			}
			if len(began) > 0 {
				t.Error("it was tried again")
			}
			if strings.Contains(g.logs.String(), "level=ERROR") {
				t.Errorf("the log says\n%s", g.logs.String())
			}
		})
	}
}

// A service hears nothing of a request whose client has gone while a plugin worked.
func TestClientGoneDuringPlugin(t *testing.T) {
	served := make(chan struct{}, 1)
	up := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served <- struct{}{} })
	working, gone, logged := make(chan struct{}), make(chan struct{}), make(chan int, 1)
	p := &accessAndLog{
		func(*pdk.PDK) error {
			close(working)
			<-gone
			return nil
		},
		func(k *pdk.PDK) error {
			logged <- k.Response.GetStatus()
			return nil
		},
	}
	g := start(t, up, plain+"plugins: [{name: p}]\n", []pdk.Plugin{plugin("p", 1, p)})
	addr, s := serveBounded(t, g, testServer)
	c := dialTo(t, addr)
	sendTo(t, c, "GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
	<-working
	s.mu.Lock()
	var conn *clientConn
	for conn = range s.served {
	}
	s.mu.Unlock()
	c.Close()
	eventually(t, "the client is missed", conn.quit.Gone)
	close(gone)
	if status := <-logged; status != statusClientGone {
		t.Errorf("status %d", status)
	}
	if len(served) > 0 {
		t.Error("the service got the request")
	}
}

type logPlugin struct{ f func(*pdk.PDK) error }

func (l *logPlugin) Log(k *pdk.PDK) error { return l.f(k) }

type accessAndLog struct{ access, log func(*pdk.PDK) error }

func (p *accessAndLog) Access(k *pdk.PDK) error { return p.access(k) }
func (p *accessAndLog) Log(k *pdk.PDK) error    { return p.log(k) }
