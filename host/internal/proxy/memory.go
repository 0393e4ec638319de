package proxy

import (
	"io"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// firstBuffer is how much of a body is read at first, in bytes. Most are shorter.
const firstBuffer = 4 << 10

// readHeld reads a body of at most limit bytes and one more into memory that the exchange holds. Memory is taken as bytes come, not as they are
// announced: a client that announces much and sends nothing takes nothing. b is what was read and held before; what was read is returned with the error
// too, so that whoever goes on gets it. size is what was announced; -1: nothing.
func (r *request) readHeld(b []byte, body io.Reader, size, limit int) (_ []byte, err error) {
	most := limit + 1
	if size >= 0 && size < limit {
		most = size + 1 // the byte more finds the end
	}
	var more wire.Gather // what b has no room for
	held := cap(b)
	for n := len(b); n <= limit && err == nil; {
		if n == held {
			room := min(wire.ChunkSize, most-n)
			if n == 0 {
				room = min(firstBuffer, most)
			}
			if err = r.ex.Hold(room); err != nil {
				break
			}
			if held += room; n == 0 {
				b = make([]byte, 0, room)
			}
		}
		var got int
		if len(b) < cap(b) {
			got, err = body.Read(b[len(b):cap(b)])
			b = b[:len(b)+got]
		} else {
			got, err = body.Read(more.Room(held - n))
			more.Fill(got)
		}
		if n += got; n == most { // more came than was announced
			most = limit + 1
		}
	}
	if more.Len() > 0 {
		b = more.Take(b...)
		r.ex.Drop(held - len(b))
	} else {
		more.Drop()
	}
	if err == io.EOF {
		err = nil
	}
	return b, err
}
