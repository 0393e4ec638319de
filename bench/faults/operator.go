package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How often the operator does what, and how long each may take.
const (
	reloadEvery  = time.Second
	strikeEvery  = 2 * time.Second
	upgradeEvery = time.Minute
	showLimit    = 30 * time.Second // until a reload shows
	backLimit    = 60 * time.Second // until a plugin server takes calls again
)

// operator changes the gateway while it serves.
type operator struct {
	g *gateway
	t *tally
	// during is held for reading by everything but an upgrade, which the gateway refuses while other changes are made.
	during sync.RWMutex
}

// work reloads, strikes and upgrades for a time, and until everything has been done once. Upgrades come in the first half of it: the last process lives
// long enough to be judged.
func (p *operator) work(ctx context.Context, length time.Duration) {
	begun := time.Now()
	var all sync.WaitGroup
	all.Go(func() { p.every(ctx, reloadEvery, begun.Add(length), 1, p.reload) })
	all.Go(func() { p.every(ctx, min(strikeEvery, length/15), begun.Add(length), 3, p.strike) })
	all.Go(func() { p.every(ctx, min(upgradeEvery, length/4), begun.Add(length/2), 1, p.upgrade) })
	all.Wait()
}

// every does something at an interval, counted from 1, until an end, and so often at least.
func (p *operator) every(ctx context.Context, interval time.Duration, end time.Time, least int, do func(ctx context.Context, n int)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 1; n <= least || time.Now().Before(end); n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-p.g.died.Done():
			return
		}
		if n <= least || time.Now().Before(end) {
			do(ctx, n)
		}
	}
}

// note counts something done, unless the run was interrupted meanwhile.
func (p *operator) note(ctx context.Context, what string, begun time.Time, err error) {
	if ctx.Err() == nil && p.g.died.Err() == nil {
		p.t.done(what, time.Since(begun), err)
	}
}

// reload has a new configuration read and waits until requests see it. Every fifth time the moving name moves, too.
func (p *operator) reload(ctx context.Context, n int) {
	p.during.RLock()
	defer p.during.RUnlock()
	if n%5 == 0 {
		p.t.nameMoved(p.g.names.move())
	}
	if err := p.g.config.writeEntities(n); err != nil {
		p.note(ctx, "reloads", time.Now(), err)
		return
	}
	begun := time.Now()
	err := p.g.signal(syscall.SIGHUP)
	if err == nil {
		err = p.shows(ctx, n)
	}
	p.note(ctx, "reloads", begun, err)
}

// fresh makes a connection for each request: an idle one would keep the old process of an upgrade for the time of its drain.
var fresh = http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// shows waits until requests see a generation.
func (p *operator) shows(ctx context.Context, n int) error {
	shown := ""
	for late := time.Now().Add(showLimit); time.Now().Before(late) && ctx.Err() == nil && p.g.died.Err() == nil; time.Sleep(20 * time.Millisecond) {
		resp, err := fresh.Get("http://" + p.g.address + "/generation/")
		if err != nil {
			shown = err.Error()
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if shown = string(body); err == nil && strings.Contains(shown, `"`+strconv.Itoa(n)+`"`) {
			return nil
		}
	}
	return fmt.Errorf("reload %d did not show within %v: %.200q", n, showLimit, shown)
}

// strike kills the process of a plugin server, or has it replaced by command or by signal, in turn.
func (p *operator) strike(ctx context.Context, n int) {
	p.during.RLock()
	defer p.during.RUnlock()
	server := pluginServers[n%len(pluginServers)]
	begun := time.Now()
	switch (n - 1 + (n-1)/len(pluginServers)) % 3 { // each server meets each of them
	case 0:
		p.note(ctx, "kills of plugin servers", begun, p.kill(ctx, server))
	case 1:
		_, err := p.g.admin.Ask(http.MethodPost, "/plugin-servers/"+server.name+"/replace")
		p.note(ctx, "replacements by command", begun, err)
	case 2:
		p.note(ctx, "replacements by signal", begun, p.resignal(ctx, server))
	}
}

// kill kills a plugin server and waits until another process of it takes calls. Until then its fail mode may answer.
func (p *operator) kill(ctx context.Context, server *pluginServer) error {
	all, err := p.g.admin.servers()
	if err != nil {
		return err
	}
	pid := all[server.name].pid()
	if pid == 0 {
		return fmt.Errorf("plugin server %s has no process that is ready, although nothing was done to it", server.name)
	}
	p.t.goesAway(server)
	defer p.t.isBack(server)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing process %d of plugin server %s: %w", pid, server.name, err)
	}
	return p.succeeded(ctx, server, pid)
}

// resignal changes the settings of a plugin server and has the gateway read them.
func (p *operator) resignal(ctx context.Context, server *pluginServer) error {
	all, err := p.g.admin.servers()
	if err != nil {
		return err
	}
	pid := all[server.name].pid()
	p.g.config.builds[server.name]++
	if err := p.g.config.writeSettings(); err != nil {
		return err
	}
	if err := p.g.signal(syscall.SIGHUP); err != nil {
		return err
	}
	return p.succeeded(ctx, server, pid)
}

// succeeded waits until another process of a plugin server than pid takes calls.
func (p *operator) succeeded(ctx context.Context, server *pluginServer, pid int) error {
	now := 0
	for late := time.Now().Add(backLimit); time.Now().Before(late) && ctx.Err() == nil && p.g.died.Err() == nil; time.Sleep(50 * time.Millisecond) {
		all, err := p.g.admin.servers()
		if err != nil {
			return err
		}
		if now = all[server.name].pid(); now != 0 && now != pid {
			return nil
		}
	}
	return fmt.Errorf("plugin server %s: %v after process %d there is no other one, found %d", server.name, backLimit, pid, now)
}

// upgrade starts the program anew in place of itself, and waits until the old process has ended in order.
func (p *operator) upgrade(ctx context.Context, _ int) {
	begun := time.Now()
	old, err := p.ask(context.WithoutCancel(ctx)) // once begun it goes to its end: it makes a process
	took := time.Since(begun)
	if err != nil {
		p.t.done("upgrades", took, err)
		return
	}
	select {
	case <-old.ended:
		if old.code != 0 {
			err = fmt.Errorf("the old process %d ended with code %d: requests were cut", old.pid, old.code)
		}
	case <-ctx.Done():
		return
	case <-p.g.died.Done():
		return
	case <-time.After(drainTimeout + stopLimit):
		err = fmt.Errorf("the old process %d did not end within %v", old.pid, drainTimeout+stopLimit)
	}
	p.t.done("upgrades", took, err)
}

// ask runs outrigger upgrade, while nothing else is changed, and gives the process that was replaced.
func (p *operator) ask(ctx context.Context) (*process, error) {
	p.during.Lock()
	defer p.during.Unlock()
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, p.g.program, "upgrade", "--admin", "unix://"+p.g.admin.Socket, "--json")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this program
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("outrigger upgrade: %w: %.300s", err, errOut.String())
	}
	var answer struct{ PID int }
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || answer.PID == 0 {
		return nil, fmt.Errorf("outrigger upgrade printed %.200q, expected JSON with the process", out.String())
	}
	return p.g.succeed(answer.PID), nil
}
