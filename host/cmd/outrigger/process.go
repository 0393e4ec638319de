package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/host/internal/handover"
	"github.com/outrigger-gateway/outrigger/host/internal/systemd"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// process is this process of the gateway: what it was started with, whom it tells how it is, and which process takes over from it. It implements
// host.Process.
type process struct {
	logger  *slog.Logger
	sockets *handover.Sockets // nil: this gateway cannot be upgraded
	service *systemd.Service
	limit   time.Duration // for an upgrade
	ending  time.Duration // that a new process has which is not to take over
	host    *host.Host    // nil: this gateway cannot be upgraded

	upgrading context.Context // ends with the gateway
	end       context.CancelCauseFunc
	replaced  chan *handover.Successor // it serves
	living    context.Context          // as long as this is the main process of the service
	left      context.CancelFunc
}

// newProcess looks at what this process was started with. Adopt comes after it.
func newProcess() *process {
	p := &process{replaced: make(chan *handover.Successor, 1)}
	p.upgrading, p.end = context.WithCancelCause(context.Background())
	p.living, p.left = context.WithCancel(context.Background())
	return p
}

// adopt takes the sockets that this process was started with, for a host.
func (p *process) adopt(h *host.Host) (err error) {
	p.serve(h.Logger())
	p.limit, p.ending, p.host = h.UpgradeTimeout(), h.EndTimeout(), h
	p.sockets, err = handover.Take(p.logger)
	return err
}

// serve is for a gateway that opens its sockets itself, and is not upgraded.
func (p *process) serve(logger *slog.Logger) {
	p.logger, p.service = logger, systemd.New(logger)
}

func (p *process) Listen(setting, address string, open func() (net.Listener, error)) (net.Listener, error) {
	return p.sockets.Listen(setting, address, open)
}

func (p *process) Upgrades() bool { return p.sockets.Upgrades() }

func (p *process) Needs(server string) bool { return p.sockets.Needs(server) }

// Upgrade has a new process take over. The gateway is retired when obey hears of it.
func (p *process) Upgrade(ready []string) (pid int, version string, err error) {
	ctx, cancel := context.WithTimeoutCause(p.upgrading, p.limit, fmt.Errorf("upgrade_timeout is over: it was not ready within %v", p.limit))
	defer cancel()
	var refusal handover.Refusal
	s, err := p.sockets.Upgrade(ctx, ready, p.ending)
	switch {
	case err == nil:
	case p.upgrading.Err() != nil:
		p.logger.Log(ctx, telemetry.LevelNotice, "the upgrade is given up", "reason", err.Error())
		return 0, "", err
	case errors.As(err, &refusal):
		p.logger.Warn("no upgrade begins", "reason", err.Error())
		return 0, "", err
	default:
		p.logger.Error("the upgrade failed, this process goes on", "error", err.Error())
		return 0, "", err
	}
	p.logger.Log(ctx, telemetry.LevelNotice, "a new process has taken over; this one finishes its requests", "pid", s.PID, "version", s.Version)
	p.replaced <- s
	return s.PID, s.Version, nil
}

// upgrade is Upgrade for somebody who reads the log.
func (p *process) upgrade() { _, _, _ = p.Upgrade(p.host.ReadyServers()) }

// ready tells the older process and systemd that this one serves.
func (p *process) ready(addresses string) error {
	if p.sockets != nil {
		if err := p.sockets.Ready(host.Version); err != nil {
			return err
		}
	}
	p.service.Ready("ready on " + addresses)
	go p.service.Live(p.living)
	return nil
}

var errEnds = errors.New("the gateway is shutting down")

// ends says that this process is to end, without another one. An upgrade under way is over first: when the new process has taken over in this very moment,
// it is returned, and the gateway goes on in it. Another signal kills a new process that takes long to end, and hurries this one too.
func (p *process) ends(end chan os.Signal) *handover.Successor {
	p.end(errEnds)
	if p.sockets == nil {
		p.service.Stopping()
		return nil
	}
	settled := p.sockets.Settled()
	select {
	case <-settled:
	case again := <-end:
		p.sockets.Hurry()
		<-settled
		select {
		case end <- again:
		default: // there is one
		}
	}
	if s := p.sockets.Successor(); s != nil {
		return s
	}
	p.service.Stopping()
	return nil
}

// endsFor says that this process is to end, and that another one is in its place.
func (p *process) endsFor(s *handover.Successor) {
	p.service.MainProcess(s.PID)
	p.left()
	p.end(errEnds)
}
