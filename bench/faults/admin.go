package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// admin asks the Admin listener of a gateway, which is a unix socket.
type admin struct {
	socket string
	http   http.Client
}

func newAdmin(socket string) *admin {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &admin{socket, http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 90 * time.Second}}
}

// ask sends a request and gives the body of the answer, which has to be 200.
func (a *admin) ask(method, path string) ([]byte, error) {
	req, err := http.NewRequest(method, "http://admin"+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s of the Admin listener: status %d: %.300q", method, path, resp.StatusCode, body)
	}
	return body, nil
}

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
func (a *admin) servers() (map[string]*serverStatus, error) {
	body, err := a.ask(http.MethodGet, "/status")
	if err != nil {
		return nil, err
	}
	var all struct {
		PluginServers []*serverStatus `json:"plugin_servers"`
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("/status of the Admin listener: %w", err)
	}
	byName := map[string]*serverStatus{}
	for _, s := range all.PluginServers {
		byName[s.Name] = s
	}
	return byName, nil
}

// goroutines is how many the gateway has.
func (a *admin) goroutines() (int, error) {
	text, err := a.ask(http.MethodGet, "/metrics")
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), "go_goroutines "); found {
			return strconv.Atoi(value)
		}
	}
	return 0, fmt.Errorf("/metrics of the Admin listener: no go_goroutines among %d bytes", len(text))
}
