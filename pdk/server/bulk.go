package server

import "github.com/outrigger-gateway/outrigger/proto/wire"

// bulk collects the chunks that go ahead of calls and answers; docs/wire.md section 8. It is for the goroutine that reads the lane.
type bulk struct {
	lane   *lane
	byCall map[uint32]*gathered
}

type gathered struct {
	wire.Gather
	over bool // there were too many; they are gone
}

func (b *bulk) add(id uint32, chunk []byte) {
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
}

// drop forgets what went ahead for a call that was cancelled.
func (b *bulk) drop(id uint32) { delete(b.byCall, id) }

// take gives the bytes that went ahead of a message. ok is false when there were too many.
func (b *bulk) take(id uint32) (data []byte, ok bool) {
	if len(b.byCall) == 0 {
		return nil, true
	}
	g := b.byCall[id]
	if g == nil {
		return nil, true
	}
	delete(b.byCall, id)
	return g.Take(), !g.over
}

const tooMuch = "the bodies are larger than max_body allows"
