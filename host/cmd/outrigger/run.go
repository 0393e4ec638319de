package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/outrigger-gateway/outrigger/host"
)

func serve(args []string, out, errOut io.Writer) int {
	o, ok := options("run", args, errOut)
	if !ok {
		return exitUsage
	}
	p := newProcess()
	o.Process = p
	h, err := host.New(o)
	if err != nil {
		return fail(errOut, err)
	}
	if err := p.adopt(h); err != nil {
		return fail(errOut, err)
	}
	return keep(h, p, out, errOut)
}

// gateway is what run and dev start.
type gateway interface {
	Start(ctx context.Context) error
	Addresses() []string
	Hints() []string
	Logger() *slog.Logger
	Refresh(ctx context.Context) error
	Shutdown(ctx context.Context) error
}

// orders are what signals tell. They have channels by what they mean: a storm of SIGHUP does not crowd out the one that ends the gateway, and a SIGHUP in
// the middle of the end does not hurry it.
type orders struct {
	refresh chan os.Signal // SIGHUP; one waits while the files are read: what it is about may just have been read over
	reopen  chan os.Signal // SIGUSR1
	upgrade chan os.Signal // SIGUSR2
	end     chan os.Signal // SIGINT, SIGTERM
}

func newOrders() orders {
	return orders{refresh: make(chan os.Signal, 1), reopen: make(chan os.Signal, 1), upgrade: make(chan os.Signal, 1), end: make(chan os.Signal, 2)}
}

// keep starts a gateway and does what signals say until one ends it, or another process is in its place.
func keep(h gateway, p *process, out, errOut io.Writer) int {
	o := newOrders()
	signal.Notify(o.refresh, syscall.SIGHUP)
	defer signal.Stop(o.refresh)
	if p.host != nil {
		signal.Notify(o.reopen, syscall.SIGUSR1)
		defer signal.Stop(o.reopen)
		signal.Notify(o.upgrade, syscall.SIGUSR2)
		defer signal.Stop(o.upgrade)
	}
	// Who reads the standard streams may go and come: a line that nobody takes does not end the gateway. Nobody asks for the signal, which is caught all
	// the same; were it ignored, so would it be in the processes that the gateway starts.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signal.Notify(o.end, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(o.end)
	return obey(h, p, o, out, errOut)
}

func obey(h gateway, p *process, o orders, out, errOut io.Writer) int {
	starting, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	started := make(chan error, 1)
	go func() { started <- h.Start(starting) }()
	select {
	case s := <-o.end:
		cancel(errors.New("interrupted by " + s.String()))
		if err := <-started; err == nil { // it was up just before
			return stop(h.Shutdown, o.end, errOut)
		}
		return exitOK
	case err := <-started:
		if err != nil {
			return fail(errOut, err)
		}
	}
	addresses := strings.Join(h.Addresses(), ", ")
	if err := p.ready(addresses); err != nil {
		return fail(errOut, errors.Join(err, h.Shutdown(context.Background())))
	}
	fmt.Fprintf(out, "outrigger %s is ready on %s\n", host.Version, addresses)
	for _, line := range h.Hints() {
		fmt.Fprintln(out, line)
	}
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case <-over:
				return
			case <-o.refresh:
				reload(h, p, addresses)
			case <-o.reopen:
				p.host.ReopenLogs()
			case <-o.upgrade:
				go p.upgrade()
			}
		}
	}()
	select {
	case successor := <-p.replaced:
		p.endsFor(successor)
		return stop(p.host.Retire, later(o.end, over), errOut)
	case <-o.end:
		successor := p.ends(o.end)
		if successor == nil {
			return stop(h.Shutdown, o.end, errOut)
		}
		p.endsFor(successor)
		return stop(p.host.Retire, o.end, errOut)
	}
}

// later leaves the first signal out: who ends the service signals all of its processes, and one that is retired is about to end.
func later(end <-chan os.Signal, over <-chan struct{}) <-chan os.Signal {
	rest := make(chan os.Signal)
	go func() {
		for first := true; ; first = false {
			select {
			case <-over:
				return
			case s := <-end:
				if first {
					continue
				}
				select {
				case rest <- s:
				case <-over:
					return
				}
			}
		}
	}()
	return rest
}

// stop shuts down in order; a signal ends what is left at once.
func stop(shutdown func(context.Context) error, end <-chan os.Signal, errOut io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- shutdown(ctx) }()
	for {
		select {
		case <-end:
			cancel()
		case err := <-done:
			if err != nil && ctx.Err() == nil {
				return fail(errOut, err)
			}
			return exitOK
		}
	}
}

func reload(h gateway, p *process, addresses string) {
	p.service.Reloading()
	status := "ready on " + addresses
	defer func() { p.service.Ready(status) }()
	if err := h.Refresh(context.Background()); err != nil {
		status += "; the last reload was refused, the log has the reasons"
		for line := range strings.Lines(err.Error()) {
			h.Logger().Error("reload refused, the old configuration stays", "error", strings.TrimSpace(line))
		}
	}
}
