// Package server starts a plugin server with plugins that were written for Kong's go-pdk.
package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	outrigger "github.com/outrigger-gateway/outrigger/pdk"
	pdk "github.com/outrigger-gateway/outrigger/pdk/kongcompat"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

// Option says something about a plugin that go-pdk has no place for.
type Option func(*outrigger.Plugin)

// Name sets the name of the plugin. The default is that of the program's file, as in Kong.
func Name(name string) Option { return func(p *outrigger.Plugin) { p.Name = name } }

// Authenticates says that the plugin sets the consumer: it cannot fail open by accident.
func Authenticates() Option { return func(p *outrigger.Plugin) { p.Authenticates = true } }

// StartServer is the whole main function of a plugin server with one plugin. It does not return, unless the arguments are wrong. The gateway starts the
// program; by hand it takes the flags of Outrigger's plugin servers, such as --listen and --describe, instead of Kong's.
func StartServer(constructor func() interface{}, version string, priority int, options ...Option) error {
	p, err := Plugin(constructor, version, priority, options...)
	if err != nil {
		return err
	}
	server.Serve(p)
	return nil
}

// Plugin is the plugin that StartServer serves: for a program that hosts several with package pdk/server, and for tests with pdktest.
func Plugin(constructor func() interface{}, version string, priority int, options ...Option) (outrigger.Plugin, error) {
	if constructor == nil {
		return outrigger.Plugin{}, fmt.Errorf("starting the plugin server: the constructor is nil")
	}
	p := pdk.Plugin(fileName(os.Args[0]), version, priority, constructor)
	for _, option := range options {
		option(&p)
	}
	return p, nil
}

// fileName is the name of a program's file, without an extension that is none of the plugin's name.
func fileName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".exe") }
