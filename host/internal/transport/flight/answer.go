package flight

import (
	"fmt"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Answer asks the asker. A panic in it, and having none, are answers too: host_error.
func Answer(asker transport.Asker, a *wire.Ask) (ans wire.Answer) {
	if asker == nil {
		return wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: fmt.Sprintf("function %d: nobody answers in this call", a.Fn)}}
	}
	defer func() {
		if p := recover(); p != nil {
			ans = wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: fmt.Sprintf("function %d: the host failed: %v", a.Fn, p)}}
		}
	}()
	return asker.Answer(a)
}
