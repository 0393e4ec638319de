package wire_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func TestGatherKeepsEveryByte(t *testing.T) {
	for name, sizes := range map[string][]int{
		"nothing": {0}, "one byte each": {1, 1, 1}, "full chunks": {wire.ChunkSize, wire.ChunkSize, wire.ChunkSize},
		"full, then a rest": {wire.ChunkSize, wire.ChunkSize, 7}, "halves": {20 << 10, 20 << 10, 12 << 10, 5}, "over a chunk": {wire.ChunkSize + 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var want []byte
			var g wire.Gather
			for i, n := range sizes {
				piece := bytes.Repeat([]byte{byte('a' + i)}, n)
				want = append(want, piece...)
				if !g.Add(piece, 1<<20) {
					t.Fatalf("piece %d was refused", i)
				}
				clear(piece) // it is a copy
			}
			if g.Len() != len(want) {
				t.Errorf("holds %d bytes, expected %d", g.Len(), len(want))
			}
			got := g.Take()
			if g.Add(bytes.Repeat([]byte("z"), wire.ChunkSize), 1<<20); !bytes.Equal(got, want) {
				t.Error("the bytes taken are not those that were added, or change with the next ones")
			}
		})
	}
}

func TestGatherReadsIntoItsRoom(t *testing.T) {
	var g wire.Gather
	want := bytes.Repeat([]byte("0123456789abcdef"), 6000)
	for rest := want; len(rest) > 0; {
		room := g.Room(10000)
		if len(room) == 0 || len(room) > 10000 {
			t.Fatalf("room of %d bytes, expected 1 to 10000", len(room))
		}
		n := copy(room, rest)
		g.Fill(n)
		rest = rest[n:]
	}
	if got := g.Take([]byte("head ")...); string(got) != "head "+string(want) || g.Len() != 0 {
		t.Errorf("took %d bytes and left %d, expected %d and 0", len(got), g.Len(), len("head ")+len(want))
	}
}

func BenchmarkGather(b *testing.B) {
	chunk := make([]byte, wire.ChunkSize)
	for _, n := range []int{2, 8, 32} {
		b.Run(fmt.Sprintf("%dKiB", n*len(chunk)>>10), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(n * len(chunk)))
			for b.Loop() {
				var g wire.Gather
				for range n {
					g.Add(chunk, 1<<30)
				}
				if len(g.Take()) != n*len(chunk) {
					b.Fatal("bytes are missing")
				}
			}
		})
	}
}
