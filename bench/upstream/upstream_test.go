package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// start serves on loopback and dials it.
func start(t *testing.T) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Serve(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
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
	conn := start(t)
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
			if err != nil || len(body) != Size || res.StatusCode != 200 {
				t.Fatalf("after %q: %d %d bytes %v", step.send, res.StatusCode, len(body), err)
			}
		}
	}
}

func TestEchoesHead(t *testing.T) {
	conn := start(t)
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

func TestBodiesOfBothDirections(t *testing.T) {
	conn := start(t)
	r := bufio.NewReader(conn)
	for _, size := range []int{0, 1, 1 << 10, maxHead, 1 << 20} {
		go func() {
			_, _ = fmt.Fprintf(conn, "POST /bench/bytes/%d?a=1 HTTP/1.1\r\nHost: a\r\ncontent-length: %d\r\n\r\n%s", size, size, strings.Repeat("y", size))
		}()
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || len(body) != size || res.StatusCode != 200 {
			t.Fatalf("size %d: %d %d bytes %v", size, res.StatusCode, len(body), err)
		}
	}
}

func TestRefusesBodyOfUnknownLength(t *testing.T) {
	conn := start(t)
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusLengthRequired {
		t.Fatalf("%v %v", res, err)
	}
}

func TestClosesOnEndlessHead(t *testing.T) {
	conn := start(t)
	go func() { _, _ = conn.Write([]byte(strings.Repeat("x", maxHead+1))) }()
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatalf("read %d bytes, expected the end of the connection", n)
	}
}
