package main

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// liar answers rightly but for one kind of requests.
func liar(lie string) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		r := request{nonce: q.Header.Get("X-Nonce")}
		for i := range kinds {
			k := &kinds[i]
			if k.path == q.URL.Path && k.deny == (q.Header.Get("X-Deny") != "") && (k.body > 0) == (q.Method == "POST") {
				r.kind = k
			}
		}
		a := rightAnswer(r)
		if r.kind.name == lie {
			a.body[len(a.body)-2] ^= 1
		}
		for name, values := range a.header {
			w.Header()[name] = values
		}
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
	}
}

// A wrong answer of a running server is counted with its reason, and right ones are right: request, answer, judge and count together.
func TestLoadCountsWrongAnswers(t *testing.T) {
	for _, lie := range []string{"", "pass", "post", "deny"} {
		t.Run("lie "+lie, func(t *testing.T) {
			server := httptest.NewServer(liar(lie))
			defer server.Close()
			l := &load{client: &client{address: strings.TrimPrefix(server.URL, "http://")}, rate: 500, name: "t"}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { l.run(ctx); close(ended) }()
			until(t, "answers of every kind", func() bool { return len(l.peek()) >= 3*len(kinds) })
			stop()
			<-ended
			var c counts
			c.count(l.take(), blow{})
			if lie == "" && (c.Wrong != 0 || c.Right != c.Requests) {
				t.Errorf("found %+v, expected right answers only", c)
			}
			if lie != "" && (c.Wrong == 0 || c.Wrong > c.Requests/len(kinds)+1 || len(c.Reasons) == 0) {
				t.Errorf("found %+v, expected one wrong answer in %d", c, len(kinds))
			}
		})
	}
}

// Orders go to requests that come to their phase, and each text has its turn.
func TestOrders(t *testing.T) {
	o := &order{texts: []string{"first response", "second access"}, every: 4}
	var carried []string
	for n := range 6 * len(kinds) {
		k := &kinds[n%len(kinds)]
		switch text := o.of(k); {
		case text == "":
		case strings.HasPrefix(text, "first") && !k.response.present(), strings.HasPrefix(text, "second") && !k.gate.present():
			t.Errorf("%s carries the order %q", k.name, text)
		default:
			carried = append(carried, text)
		}
	}
	if len(carried) < 6 || carried[0] == carried[1] || carried[0] != carried[2] {
		t.Errorf("%d requests carried the orders %q", 6*len(kinds), carried)
	}
}

// A connection that is closed instead of an answer, and an answer that does not come to its end, are wrong; nothing is sent again.
func TestLoadCountsResets(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	seen := 0
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				seen++
			}
			if seen%2 == 0 {
				_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"))
			}
			_ = conn.Close()
		}
	}()
	l := &load{client: &client{address: ln.Addr().String()}, name: "t"}
	for range 6 {
		l.send(request{kind: kindNamed(t, "pass"), nonce: "n"})
	}
	_ = ln.Close()
	<-served
	var c counts
	c.count(l.take(), blow{})
	if c.Wrong != 6 || seen != 6 {
		t.Errorf("found %+v and %d requests at the server, expected 6 wrong ones of 6", c, seen)
	}
	l.excused.Store(true) // the gateway has been killed
	l.send(request{kind: kindNamed(t, "pass"), nonce: "n"})
	if found := l.take(); found[0].verdict != policy {
		t.Errorf("without a gateway: found %+v, expected an answer by policy", found[0])
	}
}

// Processes are found by their mark, and so are their children when the parent has gone.
func TestMarked(t *testing.T) {
	mark := t.Name() + time.Now().String()
	wait, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer wait.Close()
	defer end.Close()
	// Neither becomes another program: a process in the middle of that has no environment to be seen.
	cmd := exec.Command("sh", "-c", "read x <&3 & read x <&3 & exit 0")
	cmd.Env = append(os.Environ(), markVariable+"="+mark)
	cmd.ExtraFiles = []*os.File{wait}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	find := func() []int {
		pids, err := marked(mark)
		if err != nil {
			t.Fatal(err)
		}
		return pids
	}
	defer func() {
		for _, pid := range find() {
			p, _ := os.FindProcess(pid)
			_ = p.Kill()
		}
	}()
	until(t, "the two orphans", func() bool { return len(find()) == 2 })
	for _, pid := range find() {
		p, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		_ = p.Kill()
	}
	until(t, "their end", func() bool { return len(find()) == 0 })
}
