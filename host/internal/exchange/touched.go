package exchange

import (
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Touch notes that an instance has had its hands on the body of the response: it changed or held back a piece of it, or said in the head what it
// will make of it. What follows of the body makes no sense without the instance.
func (e *Exchange) Touch(in *plan.Instance) {
	if !e.Touched(in) {
		e.touched = append(e.touched, in)
	}
}

// Touched reports whether Touch was called for the instance.
func (e *Exchange) Touched(in *plan.Instance) bool {
	for _, t := range e.touched {
		if t == in {
			return true
		}
	}
	return false
}

// bodyHeaders describe the bytes of the body.
var bodyHeaders = []string{"Content-Length", "Content-Encoding", "Content-Type", "Content-Range", "Content-MD5", "Content-Digest", "Repr-Digest", "Digest", "ETag"}

// DescribesBody reports whether one of the operations says what the bytes of the response body are.
func DescribesBody(ops []wire.Op) bool {
	for i := range ops {
		switch ops[i].Code {
		case pdk.OpResponseSetHeader, pdk.OpResponseAddHeader, pdk.OpResponseClearHeader:
			for _, h := range bodyHeaders {
				if strings.EqualFold(h, ops[i].Name) {
					return true
				}
			}
		}
	}
	return false
}
