package msgpack_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/msgpack"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
)

// echoSocket makes the test binary an echo server at that path.
const echoSocket = "OUTRIGGER_TEST_ECHO"

func TestMain(m *testing.M) {
	if address := os.Getenv(echoSocket); address != "" {
		os.Exit(serveEcho(address))
	}
	os.Exit(m.Run())
}

// serveEcho serves until its standard input ends, which it does with the parent.
func serveEcho(address string) int {
	ln, err := net.Listen("unix", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("ready")
	transporttest.ServeEcho(ln)
	return 0
}

// BenchmarkCall has the server in the same process.
func BenchmarkCall(b *testing.B) {
	network, address := transporttest.ListenEcho(b)
	l, err := msgpack.Dial(context.Background(), network, address, nil, transport.Options{})
	if err != nil {
		b.Fatal(err)
	}
	transporttest.Benchmark(b, l)
}

// BenchmarkCallAcrossProcesses has the server in a process of its own, as in real life.
func BenchmarkCallAcrossProcesses(b *testing.B) {
	address := filepath.Join(b.TempDir(), "e.sock")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), echoSocket+"="+address)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
		b.Fatal(err)
	}
	l, err := msgpack.Dial(context.Background(), "unix", address, nil, transport.Options{})
	if err != nil {
		b.Fatal(err)
	}
	transporttest.Benchmark(b, l)
}
