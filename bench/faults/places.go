package main

import "fmt"

// pluginServer is one of the plugin servers on the path, which the gateway starts.
type pluginServer struct {
	name       string // LANGUAGE-CARRIER; the names of its plugins and of their headers end with it
	language   string
	carrier    string
	failStatus int // its own, so that an answer says whose fail mode it is
}

// failBody is the body of an answer of the fail mode.
func (p *pluginServer) failBody() string { return "the plugins of " + p.name + " are away\n" }

// pluginServers in the order of the table.
var pluginServers = []*pluginServer{
	{"go-msgpack", "go", "msgpack", 591},
	{"go-grpc", "go", "grpc", 592},
	{"python-msgpack", "python", "msgpack", 593},
	{"python-grpc", "python", "grpc", 594},
	{"js-msgpack", "js", "msgpack", 595},
	{"js-grpc", "js", "grpc", 596},
}

// place is where requests go: a host with the plugins of its route.
type place struct {
	name   string
	host   string
	weight int
	// moving: the service's name moves.
	moving bool
	// tokens, exit and body are the servers whose plugins of that kind are in the chain; exit and body may be nil.
	tokens []*pluginServer
	exit   *pluginServer
	body   *pluginServer
}

// places are those without plugins, two for each plugin server, and one with plugins of three.
var places = allPlaces()

// tunnels is the place of the WebSocket tunnels. No request of the table goes there.
var tunnels = place{name: "tunnels", host: "tunnels.test", tokens: []*pluginServer{pluginServers[5]}}

func allPlaces() []place {
	all := []place{
		{name: "no plugin", host: "faults.test", weight: 30},
		{name: "no plugin, moving", host: movingName, weight: 4, moving: true},
		{name: "three servers", host: "three.test", weight: 6, tokens: []*pluginServer{pluginServers[0], pluginServers[3], pluginServers[4]}, exit: pluginServers[0], body: pluginServers[3]},
	}
	for _, p := range pluginServers {
		all = append(all,
			place{name: p.name + ", token and exit", host: "exit." + p.name + ".test", weight: 6, tokens: []*pluginServer{p}, exit: p},
			place{name: p.name + ", token and body", host: "body." + p.name + ".test", weight: 4, tokens: []*pluginServer{p}, body: p})
	}
	return all
}

// servers are all those in the chain of the place.
func (p *place) servers() (all []*pluginServer) {
	all = append(all, p.tokens...)
	if p.exit != nil {
		all = append(all, p.exit)
	}
	if p.body != nil {
		all = append(all, p.body)
	}
	return all
}

// failed is the server whose fail mode answers with a status; nil: none in the chain.
func (p *place) failed(status int) *pluginServer {
	for _, s := range p.servers() {
		if s.failStatus == status {
			return s
		}
	}
	return nil
}

// route is the configuration of the place's route.
func (p *place) route() map[string]any {
	var plugins []any
	add := func(kind string, s *pluginServer) {
		plugins = append(plugins, map[string]any{"name": fmt.Sprintf("faults-%s-%s", kind, s.name)})
	}
	for _, s := range p.tokens {
		add("token", s)
	}
	if p.exit != nil {
		add("exit", p.exit)
	}
	if p.body != nil {
		add("body", p.body)
	}
	return map[string]any{"name": p.host, "hosts": []string{p.host}, "paths": []string{"/"}, "strip_path": false, "plugins": plugins}
}
