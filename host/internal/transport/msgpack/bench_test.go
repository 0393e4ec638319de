package msgpack_test

import (
	"context"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/msgpack"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
)

func BenchmarkCall(b *testing.B) {
	network, address := transporttest.ListenEcho(b)
	l, err := msgpack.Dial(context.Background(), network, address, nil, transport.Options{})
	if err != nil {
		b.Fatal(err)
	}
	transporttest.Benchmark(b, l)
}
