package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// start serves on loopback and dials it.
func start(t *testing.T, body string) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- serve(ln, response([]byte(body))) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = ln.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func TestAnswersSplitAndPipelinedRequests(t *testing.T) {
	conn := start(t, "hello")
	r := bufio.NewReader(conn)
	for _, step := range []struct {
		send    string
		replies int
	}{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r", 0},
		{"\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET", 3},
		{" / HTTP/1.1\r\n\r\n", 1},
	} {
		if _, err := io.WriteString(conn, step.send); err != nil {
			t.Fatal(err)
		}
		for range step.replies {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || string(body) != "hello" || res.StatusCode != 200 {
				t.Fatalf("after %q: %d %q %v", step.send, res.StatusCode, body, err)
			}
		}
	}
}

func TestEchoesHead(t *testing.T) {
	conn := start(t, "hello")
	if _, err := io.WriteString(conn, "GET /bench/echo HTTP/1.1\r\nX-A: 1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(body), "\r\nX-A: 1\r\n") {
		t.Fatalf("%q %v", body, err)
	}
}

func TestClosesOnEndlessHead(t *testing.T) {
	conn := start(t, "hello")
	go func() { _, _ = conn.Write([]byte(strings.Repeat("x", maxHead+1))) }()
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatalf("read %d bytes, expected the end of the connection", n)
	}
}
