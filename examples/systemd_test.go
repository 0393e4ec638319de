package examples

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// notified is a socket on which systemd would be told how a service is.
type notified struct {
	conn *net.UnixConn
	path string
}

func newNotified(t *testing.T) *notified {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &notified{conn, path}
}

// wait waits for a message that has a line, or begins one, and gives its lines.
func (n *notified) wait(t *testing.T, want string) []string {
	t.Helper()
	if err := n.conn.SetReadDeadline(time.Now().Add(startPatience)); err != nil {
		t.Fatal(err)
	}
	var seen []string
	text := make([]byte, 4096)
	for {
		size, err := n.conn.Read(text)
		if err != nil {
			t.Fatalf("waiting for %s: %v; found %q", want, err, seen)
		}
		lines := strings.Split(string(text[:size]), "\n")
		seen = append(seen, lines...)
		if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, want) }) {
			return lines
		}
	}
}

// systemd hears when the gateway is ready, reads its files, lives, is replaced by another process and ends.
func TestSystemdNotify(t *testing.T) {
	t.Parallel()
	n := newNotified(t)
	g, _ := upgradable(t, launch{
		settings: settings{"log_level": "notice"}, entities: routes(echoUpstream(t).URL, route("/x")),
		env: []string{"NOTIFY_SOCKET=" + n.path, "WATCHDOG_USEC=200000"},
	})
	if lines := n.wait(t, "READY=1"); !slices.Contains(lines, "STATUS=ready on "+g.address) {
		t.Errorf("found %q, expected the address in STATUS", lines)
	}
	n.wait(t, "WATCHDOG=1")
	n.wait(t, "WATCHDOG=1")
	g.signal(t, syscall.SIGHUP)
	if lines := n.wait(t, "RELOADING=1"); !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "MONOTONIC_USEC=") }) {
		t.Errorf("found %q, expected MONOTONIC_USEC", lines)
	}
	n.wait(t, "READY=1")
	mark := g.log.mark()
	g.signal(t, syscall.SIGUSR2)
	pid := g.upgraded(t, mark)
	n.wait(t, fmt.Sprintf("MAINPID=%d", pid))
	gone(t, g.pid)
	n.wait(t, "WATCHDOG=1") // of the new process
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	n.wait(t, "STOPPING=1")
}

// activated is a launch by systemd with sockets that it has opened.
func activated(t *testing.T, l launch, listeners ...net.Listener) launch {
	t.Helper()
	for _, ln := range listeners {
		f, err := ln.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		l.given = append(l.given, f)
	}
	dir, err := os.MkdirTemp(built.temp, "s")
	if err != nil {
		t.Fatal(err)
	}
	l.binary = filepath.Join(dir, "start")
	text := fmt.Sprintf("#!/bin/sh\nLISTEN_PID=$$ LISTEN_FDS=%d exec %s \"$@\"\n", len(listeners), built.host)
	if err := os.WriteFile(l.binary, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return l
}

// A gateway serves on the sockets that systemd has opened, leaves the file of a unix socket to it, and hands them on at an upgrade.
func TestSystemdSockets(t *testing.T) {
	t.Parallel()
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "status.sock")
	status, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close(); status.Close() })
	g := activated(t, launch{
		settings: settings{"proxy_listen": proxy.Addr().String(), "status_listen": "unix://" + path, "log_level": "notice"},
		entities: routes(echoUpstream(t).URL, route("/x")),
	}, status, proxy).start(t)
	if g.address != proxy.Addr().String() {
		t.Errorf("found the address %s, expected %s", g.address, proxy.Addr())
	}
	g.get(t, "/x").want(t, 200)
	g.client.CloseIdleConnections() // the old process would wait for what they bring
	mark := g.log.mark()
	g.signal(t, syscall.SIGUSR2)
	pid := g.upgraded(t, mark)
	gone(t, g.pid)
	g.get(t, "/x").want(t, 200)
	resp, err := overUnix(path).Get("http://gateway/status")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("found %v %v", resp, err)
	}
	defer resp.Body.Close()
	var found struct {
		Ready   bool
		Process struct{ PID int }
		Server  struct {
			Requests int `json:"total_requests"`
		}
		Hash       string `json:"configuration_hash"`
		Generation struct{ Hash string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		t.Fatal(err)
	}
	if !found.Ready || found.Process.PID != pid || found.Server.Requests != 1 || found.Hash == "" || found.Hash != found.Generation.Hash {
		t.Errorf("found %+v, expected process %d, which is ready and has had one request", found, pid)
	}
	endHeir(t, pid)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket of systemd: %v", err)
	}
}

// A socket of systemd that no setting names would take connections that nobody answers.
func TestSystemdSocketThatNobodyWants(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	g := activated(t, launch{settings: settings{}, entities: routes(echoUpstream(t).URL, route("/x"))}, ln).begin(t)
	g.stops = true
	if code := g.exit(t); code != 1 {
		t.Errorf("found exit code %d, expected 1", code)
	}
	if text := g.log.text(); !strings.Contains(text, "systemd gave the socket "+ln.Addr().String()+", and no setting has that address") {
		t.Errorf("found the log %s", text)
	}
}
