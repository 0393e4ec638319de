package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/blackbox"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/host/internal/replay"
)

// ReplayOptions say where a recording of the black box is replayed: on one of Address, Command and a server of the settings.
type ReplayOptions struct {
	Recording *blackbox.Recording
	Address   string   // of a plugin server that runs: unix:///path or tcp://host:port
	Command   []string // starts a plugin server
	// Options has the settings whose plugin server is used when there is neither. Its log takes what the server says about itself.
	Options
	Server  string // name in the settings; "": the recorded one, or the only one
	Carrier string // "": that of the settings, or the recorded one

	Config  []byte // JSON object laid over the recorded configuration; nil: none
	Bodies  [][]byte
	Phase   string // "": the recorded one
	Timeout time.Duration
}

// replayStart is how long a plugin server may take to start that is in no settings: on a laptop nothing waits for it.
const replayStart = 30 * time.Second

// replayDial is how long a plugin server that runs may take to accept a connection.
const replayDial = 5 * time.Second

// Replay sends a recorded call once more. An error means that it was not sent.
func Replay(ctx context.Context, o ReplayOptions) (*replay.Report, error) {
	server, runDir, err := o.server()
	if err == nil && o.Address != "" {
		err = listens(ctx, o.Address)
	}
	if err != nil {
		return nil, err
	}
	return replay.Run(ctx, replay.Options{
		Recording: o.Recording, Server: server, Version: Version, Config: o.Config, Bodies: o.Bodies, Phase: o.Phase, Timeout: o.Timeout,
		RunDir: runDir, Reaper: o.Reaper, Logger: replay.NewLog(o.Log),
	})
}

// listens is an error when nobody listens at the address of a plugin server. Waiting for one would only hide a wrong address.
func listens(ctx context.Context, address string) error {
	network, place, _ := strings.Cut(address, "://")
	if network != "unix" && network != "tcp" {
		return nil // the plugin server's configuration says what is wrong
	}
	ctx, cancel := context.WithTimeout(ctx, replayDial)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, place)
	if err != nil {
		return fmt.Errorf("no plugin server listens at %s: %w", address, err)
	}
	return conn.Close()
}

// server is the plugin server to use, and the directory for its socket.
func (o *ReplayOptions) server() (server pluginserver.Config, runDir string, err error) {
	server = pluginserver.Config{Name: "replay", Command: o.Command, Carrier: cmp.Or(o.Carrier, o.Recording.Plugin.Carrier), StartTimeout: replayStart}
	if o.Address != "" {
		server.Addresses = []string{o.Address}
	}
	if o.Address != "" || len(o.Command) > 0 {
		return server, "", nil
	}
	settings, err := config.LoadSettings(o.SettingsFile, o.Env, nil)
	if err != nil {
		return server, "", err
	}
	chosen, err := chooseServer(settings.PluginServers, o.Server, o.Recording.Plugin.Server)
	if err != nil {
		return server, "", fmt.Errorf("%s: %w", o.SettingsFile, err)
	}
	server = serverConfig(chosen, settings.DrainTimeout)
	server.Processes = min(server.Processes, 1)
	server.Carrier = cmp.Or(o.Carrier, server.Carrier)
	return server, settings.RunDir, nil
}

// chooseServer is the server with the name that was asked for, else the recorded one, else the only one.
func chooseServer(servers []config.PluginServer, asked, recorded string) (*config.PluginServer, error) {
	for _, name := range []string{asked, recorded} {
		if i := slices.IndexFunc(servers, func(s config.PluginServer) bool { return s.Name == name }); i >= 0 {
			return &servers[i], nil
		}
		if asked != "" {
			break
		}
	}
	var names []string
	for i := range servers {
		names = append(names, servers[i].Name)
	}
	switch {
	case len(servers) == 0:
		return nil, errors.New("plugin_servers: found none, expected the server of the plugin")
	case asked != "":
		return nil, fmt.Errorf("plugin_servers: there is no %q, expected one of %s", asked, strings.Join(names, ", "))
	case len(servers) == 1:
		return &servers[0], nil
	}
	return nil, fmt.Errorf("plugin_servers: the recording is of plugin server %q, which is not there; say with --plugin-server which of %s has the plugin", recorded, strings.Join(names, ", "))
}
