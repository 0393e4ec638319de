package upstream

import "io"

// WriteTo copies the stream to w, which is flushed whenever the upstream has nothing more for now: what came from it does not wait in w for what may
// be long in coming. It returns how many bytes were written, and nil as the error of a stream that was copied to its end.
func (b *Body) WriteTo(w io.Writer) (int64, error) {
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	flusher, _ := w.(interface{ Flush() error })
	for copied := int64(0); ; {
		n, err := b.Read(buf[:])
		if n > 0 {
			written, failed := w.Write(buf[:n])
			copied += int64(written)
			if failed != nil {
				return copied, failed
			}
		}
		if err == io.EOF {
			return copied, nil // whoever wrote the head ends the message
		}
		if err == nil && n < len(buf) && flusher != nil {
			err = flusher.Flush()
		}
		if err != nil {
			return copied, err
		}
	}
}
