// Command benchupstream is the upstream of the benchmarks: it answers every request with the same bytes and spends as little CPU as it can,
// so that the gateway is what is measured.
//
// It understands requests without a body, pipelined or not. A request for /bench/echo is answered with its own head as the body: the runner
// sees so what a plugin did to the request. It prints its address on standard output and ends on SIGTERM or SIGINT.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
)

// maxHead bounds the head of one request, bytes.
const maxHead = 64 << 10

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address, host:port")
	size := flag.Int("size", 512, "bytes of the body of a response")
	flag.Parse()
	runtime.GOMAXPROCS(1) // waking a second processor costs more than answering
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchupstream:", err)
		os.Exit(1)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		_ = ln.Close()
	}()
	fmt.Println("benchupstream is ready on", ln.Addr())
	if err := serve(ln, response(bytes.Repeat([]byte("x"), *size))); err != nil {
		fmt.Fprintln(os.Stderr, "benchupstream:", err)
		os.Exit(1)
	}
}

// serve answers connections until the listener is closed.
func serve(ln net.Listener, fixed []byte) error {
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go answer(conn, fixed)
	}
}

// response is a whole response with headers as an application sends them.
func response(body []byte) []byte {
	b := []byte("HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Cache-Control: no-cache\r\nETag: \"5d8c72a5edda8d6a\"\r\nContent-Length: ")
	b = strconv.AppendInt(b, int64(len(body)), 10)
	return append(append(b, "\r\n\r\n"...), body...)
}

var (
	endOfHead = []byte("\r\n\r\n")
	echo      = []byte("GET /bench/echo ")
)

// answer serves one connection until the peer closes it or sends too long a head.
func answer(conn net.Conn, fixed []byte) {
	defer func() { _ = conn.Close() }()
	buf := make([]byte, maxHead)
	filled := 0
	for {
		n, err := conn.Read(buf[filled:])
		if err != nil {
			return
		}
		filled += n
		rest := buf[:filled]
		for {
			end := bytes.Index(rest, endOfHead)
			if end < 0 {
				break
			}
			head := rest[:end+len(endOfHead)]
			rest = rest[len(head):]
			reply := fixed
			if bytes.HasPrefix(head, echo) {
				reply = response(head)
			}
			if _, err := conn.Write(reply); err != nil {
				return
			}
		}
		filled = copy(buf, rest)
		if filled == len(buf) {
			return
		}
	}
}
