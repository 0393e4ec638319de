package lanebench

import (
	"fmt"
	"io"
	"net"
	"os"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// serveEcho answers each call of a lane with the bytes of one outcome until standard input ends: the floor of a plugin server in Go. It reads nothing of a frame
// but its header, and answers all the frames that one read brought with one write.
func serveEcho(address string) error {
	ln, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = ln.Close()
	}()
	fmt.Println("ready")
	for {
		conn, err := ln.Accept()
		if err != nil {
			return nil // closed
		}
		go echo(conn)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	if _, _, err := wire.ReadGreeting(conn); err != nil {
		return
	}
	hello := wire.ServerHello{Version: wire.Version, SDKLanguage: "go", SDKVersion: "echo", PID: uint32(os.Getpid())}
	out := wire.AppendServerHello(wire.BeginFrame(nil), &hello)
	wire.EndFrame(out, 0, 0, wire.TypeHello)
	outcome := wire.AppendOutcome(nil, &wire.Outcome{Ops: []wire.Op{
		{Code: wire.OpServiceRequestSetHeader, Name: "X-Hello-Go", Values: []string{"hello, Ada"}},
		{Code: wire.OpResponseSetHeader, Name: "X-Hello-Go", Values: []string{"hello, Ada"}},
	}})
	for r := wire.NewReader(conn); ; {
		if !r.Buffered() {
			if _, err := conn.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
		f, _, err := r.Next()
		if err != nil {
			return
		}
		if f.Type == wire.TypeCall {
			out = wire.AppendFrame(out, f.Call, wire.TypeOutcome, outcome)
		}
	}
}
