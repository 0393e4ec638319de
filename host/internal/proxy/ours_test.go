package proxy

import (
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
)

// A target is not blamed for what the gateway itself has too little of.
func TestWhoIsToBlame(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{
		syscall.EMFILE: true, syscall.ENFILE: true, syscall.ENOBUFS: true, syscall.EADDRNOTAVAIL: true,
		syscall.ECONNREFUSED: false, syscall.EHOSTUNREACH: false, syscall.ECONNRESET: false,
	} {
		err := &upstream.Error{Kind: upstream.KindConnect, Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno)}}
		if got := ours(err); got != want {
			t.Errorf("%v: ours %t, expected %t", errno, got, want)
		}
	}
}
