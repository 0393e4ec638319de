package host

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// What an operator asks for while a gateway ends is refused at once: it does not wait for the end, which waits for it.
func TestOperatorsDoNotHoldUpTheEnd(t *testing.T) {
	h, err := New(Options{Flags: map[string]string{"proxy_listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain_timeout": "20s"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.reloading.Lock() // a reload is under way
	ended := make(chan error, 1)
	go func() { ended <- h.Shutdown(context.Background()) }()
	waitsForLock(t, "host.(*Host).Shutdown")
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Post("http://"+h.AdminAddress()+"/plugin-servers/s/promote", "application/json", nil)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	waitsForLock(t, "host.(*Host).DecideCanary")
	h.reloading.Unlock()
	if status := <-answered; status != http.StatusServiceUnavailable {
		t.Errorf("found status %d, expected 503", status)
	}
	if err := <-ended; err != nil {
		t.Errorf("the shutdown: %v", err)
	}
}

// Whoever ends a gateway whose requests last longer than drain_timeout is told that they were cut, and by what.
func TestRequestsThatAreCutAreTold(t *testing.T) {
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	asked := make(chan net.Conn, 1)
	go func() { // a service that never answers
		if c, err := service.Accept(); err == nil {
			asked <- c
		}
	}()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	text := "_format_version: '3.0'\nservices: [{name: s, url: 'http://" + service.Addr().String() + "', routes: [{name: r, paths: [/]}]}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := New(Options{Flags: map[string]string{"proxy_listen": "127.0.0.1:0", "declarative_config": file, "drain_timeout": "100ms"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", h.Addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-asked:
		defer c.Close()
	case <-time.After(30 * time.Second):
		t.Error("the service was not asked")
	}
	err = h.Shutdown(context.Background())
	if want := "requests in flight were cut: they were not over within drain_timeout, 100ms"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("found %v, expected %s", err, want)
	}
}

// outlasting is a plugin that closes when the time for requests is up.
type outlasting struct{}

const shortDrain = 100 * time.Millisecond

func (*outlasting) Access(*pdk.PDK) error { return nil }

func (*outlasting) Close() { <-time.After(2 * shortDrain) }

// A gateway whose plugins end later than drain_timeout ends well, also with connections to the upstream of the examples that nobody uses.
func TestEndAfterTheTimeForRequests(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte("_format_version: '3.0'\nplugins: [{name: outlasting}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := New(Options{
		Flags:   map[string]string{"proxy_listen": "127.0.0.1:0", "echo_listen": "127.0.0.1:0", "declarative_config": file, "drain_timeout": shortDrain.String()},
		Plugins: []pdk.Plugin{{Name: "outlasting", Version: "1", New: func() any { return &outlasting{} }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + h.EchoAddress())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	resp.Body.Close()
	if err := h.Shutdown(context.Background()); err != nil && strings.Contains(err.Error(), "echo") {
		t.Error(err)
	}
}

// waitsForLock returns when a goroutine waits for a lock in a function, or below it.
func waitsForLock(t *testing.T, function string) {
	t.Helper()
	text := make([]byte, 1<<20)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		all := string(text[:runtime.Stack(text, true)])
		for stack := range strings.SplitSeq(all, "\n\n") {
			if strings.Contains(stack, "sync.(*Mutex).Lock") && strings.Contains(stack, function) {
				return
			}
		}
	}
	t.Fatalf("nothing waits for a lock in %s", function)
}
