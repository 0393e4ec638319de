// Command conformance runs the vectors of the PDK through every implementation and prints a table. docs/conformance.md tells how to use it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/outrigger-gateway/outrigger/host/internal/conformance"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/launcher"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/reaper"
)

func main() {
	if len(os.Args) > 1 { // the plugin servers are started and supervised as by the gateway
		switch os.Args[1] {
		case reaper.Arg:
			reaper.Main()
		case launcher.Arg:
			launcher.Main()
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	passed, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "conformance: %v\n", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}

func run(ctx context.Context) (passed bool, err error) {
	o := conformance.Options{}
	var only string
	flag.StringVar(&o.Root, "root", ".", "directory of the repository")
	flag.StringVar(&only, "on", "", "comma-separated implementations, such as js/grpc, or go for both carriers; empty: all")
	flag.StringVar(&o.Match, "run", "", "part of the file and name of the vectors to run, such as \"exit: EX3\"; empty: all")
	flag.BoolVar(&o.Ahead, "ahead", false, "run every vector that asks a second time with the answers ahead of its questions, on plugin servers alone")
	flag.BoolVar(&o.Fused, "fused", false, "make every vector the second step of a fused call, on plugin servers alone")
	atOnce := flag.Int("at-once", 8, "vectors that run at the same time")
	verbose := flag.Bool("v", false, "show the log of the plugin servers")
	flag.Parse()
	if only != "" {
		o.Only = strings.Split(only, ",")
	}
	if o.Root, err = filepath.Abs(o.Root); err != nil {
		return false, err
	}
	level := slog.LevelError
	if *verbose {
		level = slog.LevelDebug
	}
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))

	s, end, err := conformance.Open(ctx, o)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return false, err
	}
	// A part of the suite says nothing of the differences elsewhere.
	if o.Match == "" && only == "" {
		if s.Known, err = conformance.ReadKnown(filepath.Join(o.Root, "proto", "vectors", "known_differences.json")); err != nil {
			return false, err
		}
	}
	t, err := s.Run(ctx, *atOnce)
	if err != nil {
		return false, err
	}
	return t.Failed == 0, t.Write(os.Stdout)
}
