package upstream

import (
	"fmt"

	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
)

// named reports whether a name is the lower-case one.
func named(name []byte, lower string) bool {
	return len(name) == len(lower) && httpbyte.Lower(name, lower)
}

// shown is a part of a response for a message: at most 40 bytes of it.
func shown(b []byte) string {
	const most = 40
	if len(b) > most {
		return fmt.Sprintf("%q and %d bytes more", b[:most], len(b)-most)
	}
	return fmt.Sprintf("%q", b)
}
