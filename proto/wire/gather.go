package wire

import (
	"bytes"
	"sync"
)

// Gather collects the pieces of a large body, as chunks of one call or as a stream brings them, without knowing how many will come. They lie in blocks
// that are used again, until Take makes one piece of memory of just the right size: growing would copy a body several times and leave as much garbage.
type Gather struct {
	blocks [][]byte // the last one may have room
	size   int
}

// blocks are free blocks.
var blocks = sync.Pool{New: func() any { return new([ChunkSize]byte) }}

// Add appends a chunk. It reports false, and forgets everything, when more than limit bytes would be held.
func (g *Gather) Add(chunk []byte, limit int) bool {
	if len(chunk) > limit-g.size {
		g.Drop()
		return false
	}
	g.size += len(chunk)
	if last := len(g.blocks) - 1; last >= 0 && len(g.blocks[last])+len(chunk) <= ChunkSize {
		g.blocks[last] = append(g.blocks[last], chunk...)
		return true
	}
	var block []byte // a small chunk, of which many calls may have one, gets no block
	if n := len(chunk); n > ChunkSize/2 && n <= ChunkSize {
		block = blocks.Get().(*[ChunkSize]byte)[:0]
	}
	g.blocks = append(g.blocks, append(block, chunk...))
	return true
}

// Room gives at most n bytes of memory to read into, at least one; Fill says how many of them were used.
func (g *Gather) Room(n int) []byte {
	last := len(g.blocks) - 1
	if last < 0 || len(g.blocks[last]) == cap(g.blocks[last]) {
		g.blocks = append(g.blocks, blocks.Get().(*[ChunkSize]byte)[:0])
		last++
	}
	b := g.blocks[last]
	return b[len(b):min(len(b)+n, cap(b))]
}

// Fill takes the first n bytes of what Room has given.
func (g *Gather) Fill(n int) {
	last := &g.blocks[len(g.blocks)-1]
	*last = (*last)[:len(*last)+n]
	g.size += n
}

// Len is the number of bytes held.
func (g *Gather) Len() int { return g.size }

// Take gives the bytes away, behind head if there is one, and starts anew. They are a copy that nobody else has.
func (g *Gather) Take(head ...byte) []byte {
	if g.size == 0 && len(head) == 0 {
		g.Drop()
		return nil
	}
	parts := g.blocks
	if len(head) > 0 {
		parts = append([][]byte{head}, parts...)
	}
	body := bytes.Join(parts, nil)
	g.Drop()
	return body
}

// Drop forgets the bytes.
func (g *Gather) Drop() {
	for _, b := range g.blocks {
		if cap(b) == ChunkSize {
			blocks.Put((*[ChunkSize]byte)(b[:ChunkSize]))
		}
	}
	*g = Gather{}
}
