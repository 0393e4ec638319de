package server

import (
	"fmt"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// maxAhead bounds the chunks of a lane whose messages have not come yet, in bytes; chunkCost is what keeping one costs beside its bytes.
const (
	maxAhead  = 1 << 30
	chunkCost = 128
)

// bulk collects the chunks that go ahead of calls and answers; docs/wire.md section 8. It is for the goroutine that reads the lane.
type bulk struct {
	lane   *lane
	byCall map[uint32]*gathered
	ahead  int // cost of all of them
}

type gathered struct {
	wire.Gather
	over bool // there were too many; they are gone
	cost int
}

// add keeps a chunk. An error means that the lane must be closed.
func (b *bulk) add(id uint32, chunk []byte) error {
	g := b.byCall[id]
	if g == nil {
		if b.byCall == nil {
			b.byCall = map[uint32]*gathered{}
		}
		g = &gathered{}
		b.byCall[id] = g
	}
	if !g.over && !g.Add(chunk, b.lane.maxGathered()) {
		g.over = true
	}
	cost := len(chunk) + chunkCost
	g.cost += cost
	if b.ahead += cost; b.ahead > maxAhead {
		return fmt.Errorf("chunks of %d bytes came without their messages; at most %d are kept for a lane", b.ahead, maxAhead)
	}
	return nil
}

// drop forgets what went ahead for a call that was cancelled.
func (b *bulk) drop(id uint32) {
	if g := b.byCall[id]; g != nil {
		b.ahead -= g.cost
		delete(b.byCall, id)
	}
}

// take gives the bytes that went ahead of a message. ok is false when there were too many.
func (b *bulk) take(id uint32) (data []byte, ok bool) {
	if len(b.byCall) == 0 {
		return nil, true
	}
	g := b.byCall[id]
	if g == nil {
		return nil, true
	}
	b.drop(id)
	return g.Take(), !g.over
}

const tooMuch = "the bodies are larger than max_body allows"
