package server

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Serve is the whole main function of a plugin server. It does not return.
//
// Started by the host (docs/wire.md section 9) it serves until the host ends it or is gone. Otherwise the command line says what to do: --listen
// serves at an address, --describe prints the plugins as JSON. It exits with 0 after a clean end, with 1 when it cannot serve, and with 2 for
// a wrong command line.
func Serve(plugins ...pdk.Plugin) {
	os.Exit(command(os.Args[1:], plugins))
}

// options are the flags of a plugin server that is not started by the host.
type options struct {
	listen, listenData       string
	tlsCert, tlsKey, tlsRoot string
	describe                 bool
}

func command(args []string, plugins []pdk.Plugin) int {
	paceCollector()
	if os.Getenv(cookieKey) == cookieValue && len(args) == 0 {
		return report(managed(plugins))
	}
	var o options
	flags := flag.NewFlagSet(filepath.Base(os.Args[0]), flag.ContinueOnError)
	flags.StringVar(&o.listen, "listen", "", "serve at `address`: unix:///path or tcp://host:port")
	flags.StringVar(&o.listenData, "listen-data", "", "`address` of the data plane; default: beside --listen")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "certificate of this server, a PEM `file`")
	flags.StringVar(&o.tlsKey, "tls-key", "", "its private key, a PEM `file`")
	flags.StringVar(&o.tlsRoot, "tls-client-ca", "", "certificates that gateways must be signed by, a PEM `file`")
	flags.BoolVar(&o.describe, "describe", false, "print the plugins as JSON and exit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	s, err := New(plugins...)
	switch {
	case err != nil:
		return report(err)
	case o.describe:
		return report(s.printDescription(os.Stdout))
	case o.listen == "":
		s.introduce(os.Stderr)
		return 1
	}
	return report(s.attached(o))
}

// report prints an error and gives the exit code.
func report(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
	return 1
}

// introduce says what this program is to somebody who just started it.
func (s *Server) introduce(w io.Writer) {
	name := filepath.Base(os.Args[0])
	fmt.Fprintf(w, "%s is a plugin server of the Outrigger API gateway. It hosts:\n", name)
	for _, h := range s.plugins {
		fmt.Fprintf(w, "  %s %s (%s)\n", h.plugin.Name, h.plugin.Version, strings.Join(h.manifest.Phases, ", "))
	}
	fmt.Fprintf(w, "The gateway starts it when outrigger.yaml names it under plugin_servers. To run it beside the gateway instead:\n  %s --listen unix:///path/to.sock\n", name)
}

// attached serves at an address until a signal ends it.
func (s *Server) attached(o options) error {
	l, err := openListeners(o, s.logger)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s.logger.Info("plugin server listens", "control", o.listen, "data", l.Data.Addr().Network()+"://"+l.Data.Addr().String())
	return s.Serve(ctx, l)
}

// openListeners listens where the flags say.
func openListeners(o options, logger *slog.Logger) (Listeners, error) {
	var l Listeners
	network, where, err := parseListen(o.listen)
	if err != nil {
		return l, fmt.Errorf("--listen: %w", err)
	}
	dataNetwork, dataWhere, err := dataAddress(o.listenData, network, where)
	if err != nil {
		return l, err
	}
	if o.tlsCert+o.tlsKey+o.tlsRoot != "" {
		if o.tlsCert == "" || o.tlsKey == "" || o.tlsRoot == "" {
			return l, errors.New("--tls-cert, --tls-key and --tls-client-ca belong together")
		}
		if l.TLS, err = mutualTLS(o.tlsCert, o.tlsKey, o.tlsRoot, logger); err != nil {
			return l, err
		}
	}
	for _, a := range [][2]string{{network, where}, {dataNetwork, dataWhere}} {
		if a[0] == "tcp" && !isLoopback(a[1]) && l.TLS == nil {
			return l, fmt.Errorf("tcp://%s can be reached from other machines: expected a loopback address, or --tls-cert, --tls-key and --tls-client-ca", a[1])
		}
	}
	if l.Control, err = listen(network, where); err != nil {
		return l, err
	}
	if l.Data, err = listen(dataNetwork, dataWhere); err != nil {
		_ = l.Control.Close()
		return l, err
	}
	return l, nil
}

// dataAddress is where the data plane listens: where --listen-data says, else a second socket or port beside the control plane's.
func dataAddress(given, network, where string) (string, string, error) {
	switch {
	case given != "":
		network, where, err := parseListen(given)
		if err != nil {
			return "", "", fmt.Errorf("--listen-data: %w", err)
		}
		return network, where, nil
	case network == "unix":
		return network, where + ".data", nil
	}
	host := where[:strings.LastIndexByte(where, ':')]
	return network, host + ":0", nil
}

// described is a plugin as --describe prints it.
type described struct {
	Name          string          `json:"name"`
	Version       string          `json:"version"`
	Priority      int32           `json:"priority"`
	Phases        []string        `json:"phases"`
	Authenticates bool            `json:"authenticates"`
	Needs         []string        `json:"needs"`
	ConfigSchema  json.RawMessage `json:"config_schema"`
}

func (s *Server) printDescription(w io.Writer) error {
	list := make([]described, 0, len(s.plugins))
	for _, h := range s.plugins {
		m := h.manifest
		list = append(list, described{m.Name, m.Version, m.Priority, m.Phases, m.Authenticates, append([]string{}, m.Needs...), m.ConfigSchema})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"sdk_language": sdkLanguage, "sdk_version": sdkVersion, "plugins": list})
}
