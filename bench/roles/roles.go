// Package roles has what the processes of a benchmark do. They are processes of the program itself: "outrigger bench-internal ROLE", started by
// package runner and by nobody else.
//
//	gateway   the gateway as outrigger run starts it, with the bench's plugins as native ones where a scenario says so
//	plugins   a plugin server in Go with the bench's plugins
//	upstream  what the gateway forwards to
//	load      the load generator
//	pin       binds itself to processors and becomes another program
//
// One more role, lane, is package lanebench of the host.
package roles

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/outrigger-gateway/outrigger/bench/load"
	"github.com/outrigger-gateway/outrigger/bench/plugins"
	"github.com/outrigger-gateway/outrigger/bench/roles/cpuprofile"
	"github.com/outrigger-gateway/outrigger/bench/upstream"
	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/pdk/server"
	native "github.com/outrigger-gateway/outrigger/plugins"
)

// Command is the word of the command line of outrigger that starts a role.
const Command = "bench-internal"

// Ready begins the line on standard output with which a gateway or upstream tells its address; Allocations the one of a gateway that answers
// SIGUSR2 with the number of objects that it has allocated so far.
const (
	Ready       = "ready "
	Allocations = "allocations "
)

// Run does what the role says until it is told to end.
func Run(args []string) error {
	if len(args) == 0 {
		return errors.New("bench-internal: found no role; it is started by outrigger bench")
	}
	role, args := args[0], args[1:]
	run, known := map[string]func([]string) error{
		"gateway": gateway, "plugins": pluginServer, "upstream": serveUpstream, "load": generate, "pin": pin,
	}[role]
	if !known {
		return fmt.Errorf("bench-internal: unknown role %q; it is started by outrigger bench", role)
	}
	if err := run(args); err != nil {
		return fmt.Errorf("bench-internal %s: %w", role, err)
	}
	return nil
}

// gateway is the gateway, with default deadlines, header rules and log.
func gateway(args []string) error {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	settings := flags.String("settings", "", "outrigger.yaml")
	config := flags.String("config", "", "gateway.yaml")
	names := flags.String("native", "", "plugins of the bench that run natively, with commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cpuprofile.OnSignal()
	own, err := plugins.ByNames(*names)
	if err != nil {
		return fmt.Errorf("--native: %w", err)
	}
	h, err := host.New(host.Options{
		SettingsFile: *settings, Env: os.Environ(), Plugins: append(native.All(), own...),
		// A gateway of the user's own settings must not meet the one that he runs with them.
		Flags: map[string]string{"config": *config, "listen": "127.0.0.1:0", "admin_listen": "off", "status_listen": "off", "echo_listen": "off"},
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := h.Start(ctx); err != nil {
		return err
	}
	fmt.Println(Ready + h.Addresses()[0])
	count := make(chan os.Signal, 1)
	signal.Notify(count, syscall.SIGUSR2)
	for {
		select {
		case <-count:
			fmt.Println(Allocations + strconv.FormatUint(allocated(), 10))
		case <-ctx.Done():
			return h.Shutdown(context.Background())
		}
	}
}

// allocated is the number of objects on the heap that were ever made.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// pluginServer serves the bench's plugins, or only some.
func pluginServer(args []string) error {
	flags := flag.NewFlagSet("plugins", flag.ContinueOnError)
	only := flags.String("only", "", "plugins, with commas; all without it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	list := plugins.All()
	if *only != "" {
		var err error
		if list, err = plugins.ByNames(*only); err != nil {
			return fmt.Errorf("--only: %w", err)
		}
	}
	cpuprofile.OnSignal()
	os.Args = os.Args[:1] // the host starts a plugin server without arguments: those above are ours
	server.Serve(list...)
	return nil
}

func serveUpstream([]string) error {
	runtime.GOMAXPROCS(1) // waking a second processor costs more than answering
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		_ = ln.Close()
	}()
	fmt.Println(Ready + ln.Addr().String())
	return upstream.Serve(ln)
}

// Message is what the load generator writes, one JSON object a line: that the measurement has begun, that it has ended, and the result.
type Message struct {
	Begin  bool         `json:"begin,omitempty"`
	End    bool         `json:"end,omitempty"`
	Held   int          `json:"held,omitempty"`
	Result *load.Result `json:"result,omitempty"`
	Error  string       `json:"error,omitempty"`
}

// Order is what the load generator is told, one JSON object a line: to drive, or to open connections and hold them until the next line.
type Order struct {
	Drive *load.Spec `json:"drive,omitempty"`
	Hold  *load.Spec `json:"hold,omitempty"`
}

// generate does what it is told on standard input until that ends.
func generate([]string) error {
	debug.SetGCPercent(-1) // it hardly allocates, and a collection would be seen as latency
	return obey(os.Stdin, os.Stdout)
}

func obey(in io.Reader, out io.Writer) error {
	orders := bufio.NewScanner(in)
	orders.Buffer(nil, 256<<20) // a request with a large body
	replies := json.NewEncoder(out)
	for orders.Scan() {
		var o Order
		if err := json.Unmarshal(orders.Bytes(), &o); err != nil {
			return fmt.Errorf("reading an order: %w", err)
		}
		var last Message
		switch {
		case o.Hold != nil:
			release, err := load.Hold(*o.Hold)
			if err != nil {
				last.Error = err.Error()
				break
			}
			if err := replies.Encode(Message{Held: o.Hold.Connections}); err != nil {
				return err
			}
			orders.Scan()
			if err := release(); err != nil {
				last.Error = err.Error()
			}
			last.End = true
		case o.Drive != nil:
			result, err := load.Run(*o.Drive, func() { _ = replies.Encode(Message{Begin: true}) }, func() { _ = replies.Encode(Message{End: true}) })
			if last.Result = &result; err != nil {
				last = Message{Error: err.Error()}
			}
			debug.FreeOSMemory()
		}
		if err := replies.Encode(last); err != nil {
			return err
		}
	}
	return orders.Err()
}

// pin binds this process to processors, such as 0 or 0-3, and becomes the program that follows.
func pin(args []string) error {
	if len(args) < 2 {
		return errors.New("expected processors and a command")
	}
	var set unix.CPUSet
	for part := range strings.SplitSeq(args[0], ",") {
		low, high, several := strings.Cut(part, "-")
		if !several {
			high = low
		}
		from, err1 := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err := errors.Join(err1, err2); err != nil || from < 0 || to < from || to > 1023 {
			return fmt.Errorf("found the processors %q; expected numbers and ranges such as 0 or 0-3,5", args[0])
		}
		for cpu := from; cpu <= to; cpu++ {
			set.Set(cpu)
		}
	}
	runtime.LockOSThread() // the program inherits what this thread is bound to
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("binding to the processors %s: %w", args[0], err)
	}
	path, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	return syscall.Exec(path, args[1:], os.Environ())
}
