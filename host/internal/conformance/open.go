package conformance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// Options of a suite.
type Options struct {
	// Root is the directory of the repository: where the drivers are, and where go list finds package pdk.
	Root string
	// GoDriver is the program of the Go driver; empty: bin/conformance-go.
	GoDriver string
	// Only are the names of the columns to run; empty: all. Match is a part of the ID of the vectors to run.
	Only  []string
	Match string
	// Fused makes every vector the second step of a call, on plugin servers alone.
	Fused bool
	// Ahead runs every vector that asks a second time, on plugin servers alone, with the answers ahead of its questions.
	Ahead bool
	// Logger takes what the plugin servers and their supervision log.
	Logger *slog.Logger
}

// drivers of all languages.
func (o *Options) drivers() []Driver {
	at := func(parts ...string) string { return filepath.Join(append([]string{o.Root}, parts...)...) }
	goDriver := o.GoDriver
	if goDriver == "" {
		goDriver = at("bin", "conformance-go")
	}
	return []Driver{
		{Name: "go", Command: []string{goDriver}, Plugins: map[string]string{"go": "conformance-go"}, Typed: true},
		{
			Name: "python", Command: []string{at(".venv", "bin", "python"), "-m", "outrigger", "serve", at("sdk-python", "conformance", "driver.py")},
			Plugins: map[string]string{"python": "conformance-python", "python-async": "conformance-python-async"},
		},
		{
			Name: "js", Command: []string{"node", at("sdk-js", "bin", "outrigger-js.js"), "serve", at("sdk-js", "conformance", "driver.js")},
			Plugins: map[string]string{"js": "conformance-js"},
		},
	}
}

// kits are the programs of the test kits, by column.
func (o *Options) kits() map[string][]string {
	return map[string][]string{
		"kit/python": {filepath.Join(o.Root, ".venv", "bin", "python"), filepath.Join(o.Root, "sdk-python", "conformance", "kit.py")},
		"kit/js":     {"node", filepath.Join(o.Root, "sdk-js", "conformance", "kit.js")},
	}
}

// wants says whether a column is to run.
func (o *Options) wants(column string) bool {
	for _, only := range o.Only {
		if column == only || strings.HasPrefix(column, only+"/") {
			return true
		}
	}
	return len(o.Only) == 0
}

// Open loads the vectors and starts what runs them. close ends it; it is to be called also after an error.
func Open(ctx context.Context, o Options) (s *Suite, close func() error, err error) {
	var ends []func() error
	close = func() error {
		var errs []error
		for i := len(ends) - 1; i >= 0; i-- {
			errs = append(errs, ends[i]())
		}
		return errors.Join(errs...)
	}
	s = &Suite{}
	if err := s.load(o.Match); err != nil {
		return nil, close, err
	}
	if s.types, err = newTypeChecker(o.Root); err != nil {
		return nil, close, err
	}
	dir, err := os.MkdirTemp("", "conf") // short: paths of sockets are limited
	if err != nil {
		return nil, close, err
	}
	ends = append(ends, func() error { return os.RemoveAll(dir) })
	reports, err := listenForReports(filepath.Join(dir, "reports"))
	if err != nil {
		return nil, close, err
	}
	ends = append(ends, func() error { reports.close(); return nil })

	if o.wants("native") && !o.Fused && !o.Ahead {
		s.implementations = append(s.implementations, &native{reports})
	}
	remotes, started := o.remotes(reports)
	if len(remotes) > 0 {
		servers, err := startServers(ctx, started, dir, o.Logger)
		if err != nil {
			return nil, close, fmt.Errorf("start the drivers: %w", err)
		}
		ends = append(ends, func() error { return servers.Shutdown(context.WithoutCancel(ctx)) })
		for server, list := range remotes {
			for _, r := range list {
				r.server = servers.Server(server)
				s.implementations = append(s.implementations, r)
				ends = append(ends, func() error { r.close(); return nil })
			}
		}
	}
	if o.wants("kit/go") && !o.Fused && !o.Ahead {
		s.implementations = append(s.implementations, &goKit{reports})
	}
	for column, command := range o.kits() {
		if o.wants(column) && !o.Fused && !o.Ahead {
			k, err := startKit(column, command, reports)
			if err != nil {
				return nil, close, err
			}
			s.implementations = append(s.implementations, k)
			ends = append(ends, k.close)
		}
	}
	s.byName()
	if len(s.implementations) == 0 {
		return nil, close, fmt.Errorf("no implementation is named %q; there are %q", o.Only, order)
	}
	return s, close, nil
}

// load reads the vectors whose ID holds match.
func (s *Suite) load(match string) error {
	vs, err := vectors.Load()
	if err != nil {
		return err
	}
	for _, v := range vs {
		if strings.Contains(v.ID(), match) {
			s.Vectors = append(s.Vectors, v)
		}
	}
	if len(s.Vectors) == 0 {
		return fmt.Errorf("no vector has %q in its file and name", match)
	}
	return nil
}

// remotes are the columns of the drivers, by driver, and the drivers that they need.
func (o *Options) remotes(reports *reports) (columns map[string][]*remote, started []Driver) {
	columns = map[string][]*remote{}
	for _, d := range o.drivers() {
		for column, plugin := range d.Plugins {
			for _, carrier := range []string{pluginserver.CarrierMsgpack, pluginserver.CarrierGRPC} {
				r := &remote{column: column, plugin: plugin, carrier: carrier, isTyped: d.Typed, reports: reports, fused: o.Fused, asked: o.Ahead, lanes: map[string]*side{}}
				if o.wants(r.name()) {
					columns[d.Name] = append(columns[d.Name], r)
				}
			}
		}
		if len(columns[d.Name]) > 0 {
			started = append(started, d)
		}
	}
	return columns, started
}
