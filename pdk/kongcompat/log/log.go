// Package log is kong.Log of go-pdk.
package log

import (
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Log writes lines into the gateway's log. Arguments are joined without a separator.
type Log struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Log { return Log{c} }

func (r Log) line(fn int, write func(...any), args []any) error {
	if err := r.call.PDK.Refusal(fn); err != nil {
		return err
	}
	write(args...)
	return nil
}

// Alert writes a line at level alert.
func (r Log) Alert(args ...interface{}) error {
	return r.line(pdk.FnLogAlert, r.call.PDK.Log.Alert, args)
}

// Crit writes a line at level crit.
func (r Log) Crit(args ...interface{}) error { return r.line(pdk.FnLogCrit, r.call.PDK.Log.Crit, args) }

// Err writes a line at level err.
func (r Log) Err(args ...interface{}) error { return r.line(pdk.FnLogErr, r.call.PDK.Log.Err, args) }

// Warn writes a line at level warn.
func (r Log) Warn(args ...interface{}) error { return r.line(pdk.FnLogWarn, r.call.PDK.Log.Warn, args) }

// Notice writes a line at level notice.
func (r Log) Notice(args ...interface{}) error {
	return r.line(pdk.FnLogNotice, r.call.PDK.Log.Notice, args)
}

// Info writes a line at level info.
func (r Log) Info(args ...interface{}) error { return r.line(pdk.FnLogInfo, r.call.PDK.Log.Info, args) }

// Debug writes a line at level debug.
func (r Log) Debug(args ...interface{}) error {
	return r.line(pdk.FnLogDebug, r.call.PDK.Log.Debug, args)
}

// Serialize returns the log entry of the request, a JSON object.
func (r Log) Serialize() (s string, err error) { return r.call.PDK.Log.Serialize() }
