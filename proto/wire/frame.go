package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Magic opens the greeting of a lane.
const Magic = "ORLN"

// Frame is the header of one frame; docs/wire.md section 2.
type Frame struct {
	Length uint32 // of the body that follows
	Call   uint32 // 0: no call
	Type   Type
	Flags  uint8
	Step   uint16
}

// FormatError is what every reader of this package returns for bytes that are not the wire's: the lane they came from is closed.
type FormatError struct {
	What string // the message or field that was being read
	Msg  string
}

func (e *FormatError) Error() string { return "reading " + e.What + ": " + e.Msg }

func badFormat(what, format string, args ...any) error {
	return &FormatError{What: what, Msg: fmt.Sprintf(format, args...)}
}

// PutFrame writes a header into the first HeaderSize bytes of b.
func PutFrame(b []byte, f Frame) {
	_ = b[HeaderSize-1]
	binary.BigEndian.PutUint32(b, f.Length)
	binary.BigEndian.PutUint32(b[4:], f.Call)
	b[8] = byte(f.Type)
	b[9] = f.Flags
	binary.BigEndian.PutUint16(b[10:], f.Step)
	binary.BigEndian.PutUint32(b[12:], 0)
}

// ParseFrame reads a header from the first HeaderSize bytes of b. It fails when the type is unknown or the length over MaxFrame.
func ParseFrame(b []byte) (Frame, error) {
	_ = b[HeaderSize-1]
	f := Frame{
		Length: binary.BigEndian.Uint32(b),
		Call:   binary.BigEndian.Uint32(b[4:]),
		Type:   Type(b[8]),
		Flags:  b[9],
		Step:   binary.BigEndian.Uint16(b[10:]),
	}
	if f.Type < TypeHello || f.Type > TypeEntity {
		return f, badFormat("frame header", "type is %d, expected %d to %d", f.Type, TypeHello, TypeEntity)
	}
	if f.Length > MaxFrame {
		return f, badFormat("frame header", "%s frame of %d bytes is over the limit of %d", f.Type, f.Length, MaxFrame)
	}
	return f, nil
}

// BeginFrame makes room for a header. EndFrame fills it in when the body has been appended.
//
//	start := len(dst)
//	dst = wire.BeginFrame(dst)
//	dst = wire.AppendLog(dst, &line)
//	wire.EndFrame(dst, start, call, wire.TypeLog)
func BeginFrame(dst []byte) []byte {
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

// EndFrame writes the header of the frame that begins at start and reaches to the end of dst. It returns the length of the body,
// which the caller compares with MaxFrame where the body's size is not bounded otherwise.
func EndFrame(dst []byte, start int, call uint32, t Type) int {
	return EndFrameStep(dst, start, call, t, 0)
}

// EndFrameStep is EndFrame for a frame of one step of a fused call: an outcome, an ask, a log line. The first step is 0.
func EndFrameStep(dst []byte, start int, call uint32, t Type, step uint16) int {
	n := len(dst) - start - HeaderSize
	PutFrame(dst[start:], Frame{Length: uint32(n), Call: call, Type: t, Step: step})
	return n
}

// AppendFrame appends a whole frame with a body that exists already: a chunk, or the empty body of cancel.
func AppendFrame(dst []byte, call uint32, t Type, body []byte) []byte {
	start := len(dst)
	dst = BeginFrame(dst)
	dst = append(dst, body...)
	EndFrame(dst, start, call, t)
	return dst
}

// AppendChunks appends data as chunk frames of at most ChunkSize bytes each.
func AppendChunks(dst []byte, call uint32, data []byte) []byte {
	for len(data) > 0 {
		n := min(len(data), ChunkSize)
		dst = AppendFrame(dst, call, TypeChunk, data[:n])
		data = data[n:]
	}
	return dst
}

// AppendGreeting appends the first bytes of a lane. The token is at most 65535 bytes long.
func AppendGreeting(dst, token []byte) []byte {
	dst = append(dst, Magic...)
	dst = binary.BigEndian.AppendUint16(dst, Version)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(token)))
	return append(dst, token...)
}

// ErrNotOurs says that a connection does not open with Magic.
var ErrNotOurs = errors.New("reading the greeting: it does not begin with " + Magic)

// ReadGreeting reads the greeting; the caller compares version and token, and bounds the time.
func ReadGreeting(r io.Reader) (version uint16, token []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("reading the greeting: %w", err)
	}
	if string(head[:4]) != Magic {
		return 0, nil, ErrNotOurs
	}
	token = make([]byte, binary.BigEndian.Uint16(head[6:]))
	if _, err := io.ReadFull(r, token); err != nil {
		return 0, nil, fmt.Errorf("reading the token of the greeting: %w", err)
	}
	return binary.BigEndian.Uint16(head[4:]), token, nil
}

var typeNames = [...]string{"", "hello", "call", "outcome", "ask", "answer", "chunk", "cancel", "log", "goaway", "entity"}

// String is the name of a frame type.
func (t Type) String() string {
	if t > 0 && int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}
