package main

import (
	"time"

	"github.com/outrigger-gateway/outrigger/bench/probe"
)

// adminLimit is the longest time of an answer: that of a replacement.
const adminLimit = 90 * time.Second

// admin asks the gateway.
type admin struct{ *probe.Admin }

// serverStatus is what the status says about a plugin server.
type serverStatus struct {
	Name      string `json:"server"`
	Ready     bool   `json:"ready"`
	Processes []struct {
		PID   int    `json:"pid"`
		State string `json:"state"`
	} `json:"processes"`
	Fused struct {
		Calls int `json:"calls"`
	} `json:"fused"`
}

// pid is the process of the server that is ready; 0: none.
func (s *serverStatus) pid() int {
	if s == nil {
		return 0
	}
	for _, p := range s.Processes {
		if s.Ready && p.State == "ready" {
			return p.PID
		}
	}
	return 0
}

// servers is the status of all plugin servers, by name.
func (a admin) servers() (map[string]*serverStatus, error) {
	var all struct {
		PluginServers []*serverStatus `json:"plugin_servers"`
	}
	if err := a.Status(&all); err != nil {
		return nil, err
	}
	byName := map[string]*serverStatus{}
	for _, s := range all.PluginServers {
		byName[s.Name] = s
	}
	return byName, nil
}

// goroutines is how many the gateway has.
func (a admin) goroutines() (int, error) {
	text, err := a.Metrics()
	if err != nil {
		return 0, err
	}
	n, err := probe.Metric(text, "go_goroutines")
	return int(n), err
}
