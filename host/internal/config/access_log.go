package config

import (
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/accesslog"
	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// AccessLog is the log with a line for every request.
type AccessLog struct {
	Path   string // of a file, accesslog.Stdout or accesslog.Stderr; "": off
	Fields []accesslog.Field
	Room   int // for lines that wait, in bytes
}

// accessLogSettings are the settings of the access log. The first has Kong's name.
func accessLogSettings() []setting {
	return []setting{
		row("proxy_access_log", "path, stdout, stderr, or off", "off", "file that gets a line of JSON for every request; it is opened anew at SIGUSR1 and SIGHUP, and when it was moved or removed",
			func(r *settingReader, v *node, at *path) {
				s, ok := r.scalar(v, at, "a path, stdout, stderr, or off")
				if !ok {
					return
				}
				switch s {
				case "off", "":
					r.s.AccessLog.Path = ""
				case accesslog.Stdout, "/dev/stdout":
					r.s.AccessLog.Path = accesslog.Stdout
				case accesslog.Stderr, "/dev/stderr":
					r.s.AccessLog.Path = accesslog.Stderr
				default:
					if strings.HasPrefix(s, "syslog:") || strings.ContainsAny(s, " \t") {
						r.problem(at, v, &problem{expected: "a path, stdout, stderr, or off: syslog and nginx formats are not supported", code: CodeUnsupported, fix: "choose the content with proxy_access_log_fields"})
						return
					}
					r.s.AccessLog.Path = r.path(s)
				}
			}),
		listSetting("proxy_access_log_fields", accesslog.Default, "fields of a line, in their order: see docs/guides/access-log.md", readAccessFields),
		sizeSetting("proxy_access_log_buffer", "4m", "room for lines that wait to be written; lines that find none are dropped and counted", 64<<10, 1<<30,
			func(s *Settings, n int64) { s.AccessLog.Room = int(n) }),
	}
}

func readAccessFields(r *settingReader, v *node, items []*node, at *path) {
	fields := make([]accesslog.Field, 0, len(items))
	for i, item := range items {
		f, err := accesslog.ParseField(item.text)
		switch {
		case err != nil:
			names := accesslog.Names()
			r.problem(itemAt(at, i), item, &problem{expected: "one of " + strings.Join(names, ", "), nearest: nearest.Name(item.text, names)})
		case slices.ContainsFunc(fields, func(g accesslog.Field) bool { return g.Name == f.Name }):
			r.problem(itemAt(at, i), item, &problem{expected: "each field once", code: CodeConflict})
		default:
			fields = append(fields, f)
		}
	}
	if len(items) == 0 {
		r.fail(at, v, Error{Code: CodeMissing, Found: "no field", Expected: "at least one, such as " + accesslog.Default})
	}
	r.s.AccessLog.Fields = fields
}
