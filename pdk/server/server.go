// Package server turns a Go program into a plugin server: a process that hosts plugins for an Outrigger host.
//
//	func main() { server.Serve(hello.Plugin, gatekeeper.Plugin) }
//
// The program is then started by the host (a managed server), or runs by itself with --listen and the host attaches to it. docs/wire.md is the
// specification of both planes: the control plane is in control.go, the data plane in msgpack.go and grpc.go, and lane.go is what both carriers
// have in common.
//
// Quick handlers run on the goroutine that reads the lane, others beside it, many at once: crew.go. A handler that panics fails its call and nothing else.
package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/pdk/schema"
	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
)

// What Describe and hello say of this SDK.
const (
	sdkLanguage = "go"
	sdkVersion  = "0.1.0"
)

// Server hosts plugins. Make it with New; its methods may be called from any goroutine.
type Server struct {
	plugins   []hosted
	instances instances
	pool      pool
	watch     *watch
	token     []byte // of the data plane
	logger    *slog.Logger
	frameTime time.Duration

	running gauge // handlers that run, or wait to
	open    gauge // lanes

	mu     sync.Mutex // guards the rest
	lanes  map[*lane]func(code, message string)
	closed bool
	stop   func() // ends Serve; nil outside it

	configuring attempts
}

// hosted is a plugin with its manifest.
type hosted struct {
	plugin   pdk.Plugin
	manifest *pluginv1.PluginManifest
}

// New checks the plugins and makes a server of them. Nothing listens before Serve.
func New(plugins ...pdk.Plugin) (*Server, error) {
	if len(plugins) == 0 {
		return nil, errors.New("a plugin server needs at least one plugin")
	}
	s := &Server{token: make([]byte, 32), watch: newWatch(), lanes: map[*lane]func(string, string){}, frameTime: frameTime, logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if _, err := rand.Read(s.token); err != nil {
		return nil, fmt.Errorf("making the token of the data plane: %w", err)
	}
	s.instances.failed = func(in *instance, err error) {
		s.logger.Error("closing an instance failed", "plugin", in.plugin, "instance", in.id, "error", err)
	}
	for i, p := range plugins {
		m, err := manifest(p)
		if err != nil {
			return nil, fmt.Errorf("plugin %d (%q): %w", i+1, p.Name, err)
		}
		if slices.ContainsFunc(s.plugins, func(h hosted) bool { return h.plugin.Name == p.Name }) {
			return nil, fmt.Errorf("plugin %d: the name %q is taken by another one", i+1, p.Name)
		}
		s.plugins = append(s.plugins, hosted{p, m})
	}
	return s, nil
}

// manifest finds out what a plugin handles and how it is configured, by making an instance of it.
func manifest(p pdk.Plugin) (*pluginv1.PluginManifest, error) {
	switch {
	case p.Name == "":
		return nil, errors.New("it has no name")
	case p.Version == "":
		return nil, errors.New("it has no version")
	case p.New == nil:
		return nil, errors.New("it has no New")
	}
	instance, err := construct(p)
	if err != nil {
		return nil, err
	}
	handlers, err := pdk.HandlersOf(instance)
	if err != nil {
		return nil, err
	}
	configSchema, err := schema.Of(instance)
	if err != nil {
		return nil, err
	}
	return &pluginv1.PluginManifest{
		Name: p.Name, Version: p.Version, Priority: int32(p.Priority), Phases: handlers.Phases().Names(),
		ConfigSchema: configSchema, Authenticates: p.Authenticates, Needs: p.Needs.Names(),
	}, nil
}

// construct calls New. A panic is an error.
func construct(p pdk.Plugin) (instance any, err error) {
	err = contain("New", func() error {
		instance = p.New()
		return nil
	})
	if err == nil && instance == nil {
		err = errors.New("New returned nil; expected a pointer to a fresh instance")
	}
	return instance, err
}

// contain runs code of a plugin outside a call. A panic, or the end of the goroutine, is an error.
func contain(what string, f func() error) error {
	result := make(chan error, 1)
	go func() { // a goroutine of its own, as runtime.Goexit would end the caller's
		returned := false
		var err error
		defer func() { result <- err }()
		defer func() {
			if !returned {
				cause := recover()
				err = fmt.Errorf("%s panicked with a %T", what, cause) // stands when the text of the cause ends the goroutine, too
				err = fmt.Errorf("%s panicked: %s\n%s", what, local.Spoken(cause), debug.Stack())
			}
		}()
		err = f()
		returned = true
	}()
	return <-result
}

// find returns a plugin by name; nil when it is not here.
func (s *Server) find(name string) *hosted {
	for i := range s.plugins {
		if s.plugins[i].plugin.Name == name {
			return &s.plugins[i]
		}
	}
	return nil
}

// join notes an open lane; bye says goaway on it. It reports false when the server is ending.
func (s *Server) join(l *lane, bye func(code, message string)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.lanes[l] = bye
	s.open.up()
	return true
}

func (s *Server) leave(l *lane) {
	s.mu.Lock()
	delete(s.lanes, l)
	s.mu.Unlock()
	s.open.down()
}

// sayGoodbye tells every lane that the server goes away, and refuses new lanes.
func (s *Server) sayGoodbye() {
	s.mu.Lock()
	s.closed = true
	var byes []func(string, string)
	for _, bye := range s.lanes {
		byes = append(byes, bye)
	}
	s.mu.Unlock()
	for _, bye := range byes {
		bye("not_ready", "the plugin server is shutting down")
	}
}

// Shutdown asks Serve to end cleanly. It does not wait.
func (s *Server) Shutdown() {
	s.mu.Lock()
	stop := s.stop
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}
