package host

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
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
