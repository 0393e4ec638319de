package host

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
)

// logLevel is the least severe level that is logged. It can be changed while the gateway runs, for a while or until somebody changes it again.
type logLevel struct {
	lines  slog.LevelVar // of the log
	number atomic.Uint32 // the same for plugins: 0 debug to 7 emerg

	mu      sync.Mutex // guards the rest
	setting uint8
	until   time.Time   // when the setting counts again; zero: it does, or no time is set
	timer   *time.Timer // nil: none
	changes int
}

func newLogLevel(setting uint8) *logLevel {
	l := &logLevel{setting: setting}
	l.apply(setting)
	return l
}

func (l *logLevel) apply(number uint8) {
	l.lines.Set(telemetry.Level(number))
	l.number.Store(uint32(number))
}

// change sets the level for a while; 0: until the next change.
func (l *logLevel) change(number uint8, forTime time.Duration, back func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
	l.apply(number)
	if forTime == 0 || number == l.setting {
		return
	}
	l.until = time.Now().Add(forTime)
	this := l.changes
	l.timer = time.AfterFunc(forTime, func() {
		l.mu.Lock()
		mine := l.changes == this
		if mine {
			l.end()
			l.apply(l.setting)
		}
		l.mu.Unlock()
		if mine {
			back()
		}
	})
}

// end ends the change under way; mu is held.
func (l *logLevel) end() {
	l.changes++
	l.until = time.Time{}
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// set is another setting. A change under way goes on until its time is over.
func (l *logLevel) set(setting uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setting = setting
	if l.timer == nil {
		l.apply(setting)
	}
}

// stop ends the change under way.
func (l *logLevel) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}

func (l *logLevel) now() admin.LogLevel {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := admin.LogLevel{Level: config.LogLevelName(uint8(l.number.Load())), Setting: config.LogLevelName(l.setting)}
	if !l.until.IsZero() {
		until := l.until
		out.Until = &until
	}
	return out
}

// LogLevel implements admin.LogLevels.
func (o operator) LogLevel() admin.LogLevel { return o.level.now() }

// SetLogLevel implements admin.LogLevels.
func (o operator) SetLogLevel(name string, forTime time.Duration) (admin.LogLevel, bool) {
	number, ok := config.LogLevelNumber(name)
	if !ok {
		return admin.LogLevel{}, false
	}
	logger, level := o.logger, o.level
	level.change(number, forTime, func() {
		logger.Log(context.Background(), telemetry.LevelNotice, "the log level is that of the settings again", "level", level.now().Level)
	})
	logger.Log(context.Background(), telemetry.LevelNotice, "the log level has changed", "level", name, "for", forTime.String())
	return level.now(), true
}
