package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// fault is a row of the table of faults: what is done to a stage, and how long it may take to recover.
type fault struct {
	name string
	// orders of the plugin server, in turn, each carried by every so many requests while the fault is on.
	orders func(carrier string) []string
	every  int
	same   bool // all orders are carried by one and the same request
	// strike begins the fault from outside; lift ends it. Either may be nil.
	strike, lift func(ctx context.Context, s *stage) error
	hold         time.Duration                             // from strike to lift
	during       func(ctx context.Context, s *stage) error // instead of waiting for hold
	limit        time.Duration                             // from lift to right answers; 0: recoveryLimit
	needs        func() error                              // why it cannot run here; nil: it always can
	on           variant                                   // of the stage
	mostStarts   int                                       // of the plugin server; 0: any number
	unseen       bool                                      // no answer need show it
	gatewayDies  bool                                      // connections may fail while it is on
	alone        bool                                      // not part of the soak
	note         func(language string) string              // what rows of the language leave out; nil or empty: nothing
}

// recoveryLimit is how long a stage may take to recover. It is told how long it took; a machine that has more to do takes many times as long.
const recoveryLimit = time.Minute

// faults in the order in which they run.
func faults() []fault {
	list := []fault{
		{name: "kill -9 of the plugin server", strike: killServer},
		{name: "SIGSTOP, continued after 2 s", strike: signalAll(syscall.SIGSTOP), hold: 2 * time.Second, lift: signalAll(syscall.SIGCONT)},
		{name: "SIGSTOP for ever", strike: signalAll(syscall.SIGSTOP)},
	}
	for _, phase := range []string{"rewrite", "access", "response", "header_filter", "body_filter", "log"} {
		list = append(list, fault{
			name: "hang in " + phase, orders: always("hang " + phase + " 3000"), every: 3, hold: 3 * time.Second, unseen: phase == "log",
		})
	}
	return append(list,
		fault{name: "garbage frames", orders: garbage, every: 15, hold: 3 * time.Second},
		fault{name: "giant frames", orders: giant, every: 15, hold: 3 * time.Second},
		fault{name: "slow-loris frames", orders: loris, every: 50, hold: 3 * time.Second},
		fault{name: "memory hog", orders: always("hog access 2000 1000"), every: 25, hold: 3 * time.Second},
		fault{name: "fork bomb", orders: always("bomb access 40"), every: 25, hold: 2 * time.Second, lift: killServer},
		fault{name: "no descriptors left", orders: descriptors, every: 10, hold: 3 * time.Second},
		fault{name: "exit at start", strike: exitAtStart, during: manyStarts, lift: repair},
		fault{name: "plugin's log on a full disk", orders: always("log access"), every: 2, hold: 2 * time.Second},
		fault{name: "poison requests, all different", orders: always("die access"), every: 10, hold: 4 * time.Second},
		fault{name: "poison request, the same again", orders: always("die access"), every: 40, same: true, during: quarantined, mostStarts: 3},
		fault{name: "kill -9 of the gateway", strike: killGateway, lift: restartGateway, limit: startLimit, gatewayDies: true, alone: true},
		fault{name: "clock jumps", strike: shiftClock, note: wallNote, during: jumpWall, lift: resetClock, needs: timeNamespaces, on: anySystemCall, alone: true},
		fault{name: "gateway's log on a full disk", strike: killServer, on: fullLog, alone: true},
	)
}

func always(orders ...string) func(string) []string {
	return func(string) []string { return orders }
}

// raw is an order to write a frame to the host: a head, and zeros.
func raw(socket, head string, kib int) string {
	return fmt.Sprintf("raw access %s %s %d", socket, strings.ReplaceAll(head, " ", ""), kib)
}

// Frames of msgpack begin with length, call, type, flags, step, reserved (docs/wire.md section 2), those of HTTP/2, which carries gRPC, with length,
// type, flags, stream. A server's frames for calls travel over its control plane when the carrier is grpc.

// garbage are frames that cannot be read: of no known type; of a call that never was, with an outcome that does not decode; DATA on stream 0.
func garbage(carrier string) []string {
	if carrier == "grpc" {
		return []string{raw("control", "000010 00 00 00000000 c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1", 0)}
	}
	return []string{
		raw("lane", "00000010 00000000 63 00 0000 00000000 c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1", 0),
		raw("lane", "00000004 7fffffff 03 00 0000 00000000 c1c1c1c1", 0),
	}
}

// giant frames say that they are longer than any may be, and begin to arrive.
func giant(carrier string) []string {
	if carrier == "grpc" {
		return []string{raw("control", "ffffff 00 00 00000001", 1024)}
	}
	return []string{raw("lane", "7fffffff 00000000 03 00 0000 00000000", 1024)}
}

// loris is the head of a frame of a size that is allowed, and nothing after it but what the server writes anyway.
func loris(carrier string) []string {
	if carrier == "grpc" {
		return []string{raw("control", "004000 00 00 00000001", 0)}
	}
	return []string{raw("lane", "00800000 00000000 03 00 0000 00000000", 0)}
}

// descriptors takes all descriptors and then has the connection for calls closed: a new one needs a descriptor.
func descriptors(carrier string) []string {
	return append([]string{"descriptors access 1000"}, garbage(carrier)[0])
}

func signalAll(sig syscall.Signal) func(context.Context, *stage) error {
	return func(_ context.Context, s *stage) error { return s.signalServer(sig) }
}

func killServer(_ context.Context, s *stage) error { return s.signalServer(syscall.SIGKILL) }

// exitAtStart lets the plugin server end whenever it starts.
func exitAtStart(ctx context.Context, s *stage) error {
	return errors.Join(os.WriteFile(filepath.Join(s.dir, "exit"), nil, 0o600), killServer(ctx, s))
}

// Starts of a plugin server that ends at its start, for a crash loop: the usual number, and the time after which one is enough. The back-off of a
// server that has died much before is ten seconds.
const (
	loopStarts = 3
	loopTime   = 12 * time.Second
)

// manyStarts waits until the plugin server was started, and has ended, several times.
func manyStarts(ctx context.Context, s *stage) error {
	first, began := s.starts(), time.Now()
	for {
		n, waited := s.starts()-first, time.Since(began)
		switch {
		case n >= loopStarts, n > 0 && waited > loopTime:
			return nil
		case waited > recoveryLimit:
			return fmt.Errorf("the plugin server was not started within %s", recoveryLimit)
		}
		if !pause(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// quarantined waits until the gateway refuses the poison, and until everything else is served while it still comes.
func quarantined(ctx context.Context, s *stage) error {
	for end := time.Now().Add(recoveryLimit); ; {
		n, err := s.gateway.quarantined()
		if err != nil {
			return err
		}
		if n > 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("nothing is in quarantine after %s", recoveryLimit)
		}
		if !pause(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
	_, err := s.recovered(ctx, time.Now(), recoveryLimit)
	return err
}

func repair(_ context.Context, s *stage) error { return os.Remove(filepath.Join(s.dir, "exit")) }

func killGateway(ctx context.Context, s *stage) error { return s.kill(ctx) }

func restartGateway(ctx context.Context, s *stage) error {
	address, err := s.launch(ctx)
	if err != nil {
		return err
	}
	s.load.client.move(address)
	return nil
}
