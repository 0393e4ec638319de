package grpc_test

import (
	"context"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/grpc"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
)

func open(t testing.TB, h transporttest.Handler, o transport.Options) transport.Lane {
	t.Helper()
	l, err := grpc.Open(context.Background(), transporttest.Connect(t, h), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSuite(t *testing.T) { transporttest.Run(t, open) }

func BenchmarkCall(b *testing.B) {
	outcome := transporttest.SampleOutcome()
	transporttest.Benchmark(b, open(b, func(s *transporttest.Session) { s.Reply(outcome) }, transport.Options{}))
}
