// Package systemd tells systemd how the gateway is: that it is ready, reads its configuration, ends, lives, or that another process is the main one. All
// of it does nothing for a process that was not started by systemd as Type=notify or notify-reload.
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Service is what systemd knows of this process. Several goroutines may use it at once.
type Service struct {
	logger   *slog.Logger
	interval time.Duration // between two signs of life; 0: systemd waits for none
}

// New reads the environment. What it says of the watchdog holds for the processes that replace this one, too.
func New(logger *slog.Logger) *Service {
	s := &Service{logger: logger}
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		logger.Warn("systemd: the watchdog is not served", "error", err.Error())
	}
	s.interval = limit / 2
	_ = os.Unsetenv("WATCHDOG_PID") // it names this process alone
	return s
}

// Ready says that requests are served, and with which status line.
func (s *Service) Ready(status string) { s.notify(daemon.SdNotifyReady + "\nSTATUS=" + status) }

// Reloading says that the configuration is read; Ready comes after it.
func (s *Service) Reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		s.logger.Warn("systemd: the time is not known", "error", err.Error())
		return
	}
	s.notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d\nSTATUS=reading the configuration", daemon.SdNotifyReloading, now.Nano()/1000))
}

// Stopping says that this process ends, and with it the service.
func (s *Service) Stopping() {
	s.notify(daemon.SdNotifyStopping + "\nSTATUS=finishing the requests in flight")
}

// MainProcess says that another process is the main one of the service from now on. systemd believes the old one alone (NotifyAccess=main).
func (s *Service) MainProcess(pid int) { s.notify(fmt.Sprintf("MAINPID=%d", pid)) }

// Live gives signs of life, if systemd waits for them, until ctx ends. It shows that the process runs: one that is stopped, or whose machine has run out
// of memory, is started anew.
func (s *Service) Live(ctx context.Context) {
	if s.interval <= 0 {
		return
	}
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		s.notify(daemon.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.logger.Warn("systemd is not told", "state", state, "error", err.Error())
	}
}
