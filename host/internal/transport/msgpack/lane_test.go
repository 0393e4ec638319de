package msgpack_test

import (
	"context"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/msgpack"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
)

func open(t testing.TB, h transporttest.Handler, o transport.Options) transport.Lane {
	t.Helper()
	network, address := transporttest.Listen(t, h)
	l, err := msgpack.Dial(context.Background(), network, address, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSuite(t *testing.T) { transporttest.Run(t, open) }
