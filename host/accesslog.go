package host

import (
	"context"
	"fmt"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/accesslog"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
)

// openAccessLog opens the access log, if the settings want one.
func (h *Host) openAccessLog() error {
	s := &h.settings.AccessLog
	if s.Path == "" {
		return nil
	}
	log, err := accesslog.Open(accesslog.Options{Path: s.Path, Fields: s.Fields, Room: s.Room, Logger: h.logger})
	if err != nil {
		return fmt.Errorf("proxy_access_log: %w", err)
	}
	h.sight.access = log
	return nil
}

// lastLines is how long the access log may take for its last lines when the time of the shutdown is over.
const lastLines = time.Second

func (s *sight) closeAccessLog(drain context.Context) error {
	if s.access == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(drain), lastLines)
	defer cancel()
	return s.access.Close(ctx)
}

// follow does what the settings say by now, as far as that needs no restart: the log level. The access log is opened anew, whoever moved it.
func (h refresh) follow(settings *config.Settings) {
	h.level.set(settings.LogLevelNumber())
	h.ReopenLogs()
}

// ReopenLogs opens the files of logs anew, and reads nothing else.
func (h *Host) ReopenLogs() {
	if h.sight.access != nil {
		h.sight.access.Reopen()
	}
}
