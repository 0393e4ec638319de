package correlationid

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// generator makes the function that makes ids. Each call has its own counter and UUID.
func generator(name string) func(*pdk.PDK) string {
	switch name {
	case "uuid":
		return func(*pdk.PDK) string { return newUUID() }
	case "tracker":
		return tracker(localAddress(), os.Getpid(), time.Now)
	}
	prefix := newUUID() + "#"
	var count atomic.Uint64
	return func(*pdk.PDK) string { return prefix + strconv.FormatUint(count.Add(1), 10) }
}

// newUUID makes a random UUID (RFC 9562 version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// tracker makes ids of server address, listener port, process id, client port (it stands for the connection), number of the request
// in this instance, and time in seconds.
func tracker(address string, pid int, now func() time.Time) func(*pdk.PDK) string {
	var count atomic.Uint64
	return func(k *pdk.PDK) string {
		t := now()
		return fmt.Sprintf("%s-%d-%d-%d-%d-%d.%03d", address, k.Request.GetPort(), pid, k.Client.GetPort(), count.Add(1),
			t.Unix(), t.Nanosecond()/int(time.Millisecond))
	}
}

// localAddress is the first address of this machine that is not a loopback address.
func localAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err == nil {
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
				return n.IP.String()
			}
		}
	}
	return "127.0.0.1"
}
