package grpc

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

// filled is a call with n bytes in each place that may hold memory of the caller, and these places.
func filled(n int) (c *wire.Call, places [][]byte) {
	place := func() []byte {
		b := append([]byte{0xc6, 0, 0, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{'x'}, n)...) // a MessagePack bin
		places = append(places, b)
		return b
	}
	values := func() []wire.SharedValue { return []wire.SharedValue{{Key: "k", Value: place()}} }
	answers := func() []wire.Prefetched {
		return []wire.Prefetched{
			{Fn: wire.AskRequestGetRawBody, Answer: wire.Answer{Bytes: place(), IsBytes: true}},
			{Fn: wire.AskNginxGetVar, Args: [][]byte{{0xa1, 'v'}}, Answer: wire.Answer{Value: place()}},
		}
	}
	c = transporttest.SampleCall(1)
	c.Shared, c.Plugin, c.Prefetched = values(), values(), answers()
	c.Rest = []wire.Step{{Instance: 2, Plugin: values(), Prefetched: answers()}, {Instance: 3, Plugin: values(), Prefetched: answers()}}
	c.Chunk, c.HasChunk = place(), true
	c.RequestBody, c.HasRequestBody = place(), true
	c.ResponseBody, c.HasResponseBody = place(), true
	return c, places
}

// A message that waits to be sent stays what it is when its caller is gone and the memory serves another request.
func TestMessagesOutliveTheirCall(t *testing.T) {
	c, places := filled(1000)
	m := wirepb.Call(c, wire.Slots{})
	detach(m)
	marshalled := func() []byte {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	before := marshalled()
	for i, b := range places {
		for j := range b {
			b[j] = 'y'
		}
		if !bytes.Equal(before, marshalled()) {
			t.Fatalf("the message has changed with place %d of the call", i)
		}
	}
}

// The bound of a message holds for all that is in it.
func TestSizeCountsEverything(t *testing.T) {
	c, places := filled(10_000)
	size, real := sizeOf(c), proto.Size(wirepb.Call(c, wire.Slots{}))
	if content := len(places) * 10_000; size < content || size > real+2000 || size < real-2000 {
		t.Errorf("%d bytes are counted; there are %d, of which %d of content", size, real, content)
	}
}
