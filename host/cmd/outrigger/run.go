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
	h, err := host.New(o)
	if err != nil {
		return fail(errOut, err)
	}
	return keep(h, out, errOut)
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

// keep starts a gateway and does what signals say until one ends it. Signals have channels by what they mean: a storm of SIGHUP does not crowd out the
// one that ends the gateway, and a SIGHUP in the middle of the end does not hurry it.
func keep(h gateway, out, errOut io.Writer) int {
	refresh := make(chan os.Signal, 1) // one waits while the files are read: what it is about may just have been read over
	signal.Notify(refresh, syscall.SIGHUP)
	defer signal.Stop(refresh)
	end := make(chan os.Signal, 2)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(end)
	return obey(h, refresh, end, out, errOut)
}

func obey(h gateway, refresh, end <-chan os.Signal, out, errOut io.Writer) int {
	starting, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	started := make(chan error, 1)
	go func() { started <- h.Start(starting) }()
	select {
	case s := <-end:
		cancel(errors.New("interrupted by " + s.String()))
		if err := <-started; err == nil { // it was up just before
			return stop(h, end, errOut)
		}
		return exitOK
	case err := <-started:
		if err != nil {
			return fail(errOut, err)
		}
	}
	fmt.Fprintf(out, "outrigger %s is ready on %s\n", host.Version, strings.Join(h.Addresses(), ", "))
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
			case <-refresh:
				reload(h)
			}
		}
	}()
	<-end
	return stop(h, end, errOut)
}

// stop shuts down in order; a second signal ends what is left at once.
func stop(h gateway, end <-chan os.Signal, errOut io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- h.Shutdown(ctx) }()
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

func reload(h gateway) {
	if err := h.Refresh(context.Background()); err != nil {
		for line := range strings.Lines(err.Error()) {
			h.Logger().Error("reload refused, the old configuration stays", "error", strings.TrimSpace(line))
		}
	}
}
