package proxy

import (
	"io"
)

// Sizes of a buffer that a body is read into.
const (
	firstBuffer = 4 << 10
	lastBuffer  = 1 << 20 // a larger one grows by as much at a time
)

// readHeld reads a body of at most limit bytes and one more into memory that the exchange holds. Memory is taken as bytes come, not as they are
// announced: a client that announces much and sends nothing takes nothing. b is what was read and held before; what was read is returned with the error
// too, so that whoever goes on gets it. size is what was announced; -1: nothing.
func (r *request) readHeld(b []byte, body io.Reader, size, limit int) ([]byte, error) {
	most := limit + 1
	if size >= 0 && size < limit {
		most = size + 1 // the byte more finds the end
	}
	for len(b) <= limit {
		if len(b) == cap(b) {
			grown := min(cap(b)+max(min(cap(b), lastBuffer), firstBuffer), most)
			if err := r.ex.Hold(grown - cap(b)); err != nil {
				return b, err
			}
			b = append(make([]byte, 0, grown), b...)
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
		if len(b) == most { // more came than was announced
			most = limit + 1
		}
	}
	return b, nil
}
