// Package telemetry names what the gateway says about itself: log levels and fields.
package telemetry

import (
	"io"
	"log/slog"
)

// Levels beyond those of slog; Kong has eight.
const (
	LevelNotice = slog.Level(2)
	LevelCrit   = slog.Level(12)
	LevelAlert  = slog.Level(16)
	LevelEmerg  = slog.Level(20)
)

// levels by their number on the wire.
var levels = [8]slog.Level{slog.LevelDebug, slog.LevelInfo, LevelNotice, slog.LevelWarn, slog.LevelError, LevelCrit, LevelAlert, LevelEmerg}

var names = map[slog.Level]string{
	slog.LevelDebug: "debug", slog.LevelInfo: "info", LevelNotice: "notice", slog.LevelWarn: "warn", slog.LevelError: "error",
	LevelCrit: "crit", LevelAlert: "alert", LevelEmerg: "emerg",
}

// Level is the slog level of a number on the wire, 0 debug to 7 emerg; larger numbers are emerg.
func Level(number uint8) slog.Level { return levels[min(int(number), len(levels)-1)] }

// NewLogger writes lines at or above a level, which may change, in format text or json.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey {
			if l, ok := a.Value.Any().(slog.Level); ok {
				if name, ok := names[l]; ok {
					return slog.String(slog.LevelKey, name)
				}
			}
		}
		return a
	}}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
