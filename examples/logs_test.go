package examples

import (
	"strings"
	"testing"
)

// Lines that plugins log keep their level and say where they come from; what they print is captured line by line.
func TestLesson18LogLinesSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	levels := []string{"debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"}
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			var list []string
			for _, p := range faultPlugins {
				for _, do := range []string{"log", "print"} {
					list = append(list, route("/"+p.plugin+"/"+do, "{name: "+p.plugin+", instance_name: my-"+p.plugin+"-"+do+", config: {do: "+do+"}}"))
				}
			}
			g := launch{settings: settings{"plugin_servers": testServers(carrier), "log_level": "debug"}, entities: routes(up.URL, list...)}.start(t)
			for _, p := range faultPlugins {
				mark := g.log.mark()
				id := g.get(t, "/"+p.plugin+"/log").want(t, 200).header.Get("X-Kong-Request-Id")
				for _, level := range levels {
					l := g.log.waitFields(t, mark, "plugin", p.plugin, "level", level, "request_id", id)
					if !l.has("server", p.server, "phase", "access", "instance_name", "my-"+p.plugin+"-log") {
						t.Errorf("found the line %v", l)
					}
					if text := l.text("msg"); !strings.HasPrefix(text, "a line 1 é") || !strings.HasSuffix(text, "\nof two") {
						t.Errorf("%s: found the text %q", p.plugin, text)
					}
				}
				mark = g.log.mark()
				g.get(t, "/"+p.plugin+"/print").want(t, 200)
				for _, text := range []string{"printed to stdout", "in two lines", "printed \uFFFD to stderr"} {
					if l := g.log.waitFields(t, mark, "msg", text); !l.has("server", p.server) || l["pid"] == nil {
						t.Errorf("found the line %v, expected the server and its process", l)
					}
				}
			}
		})
	}
	// Below the log level nothing is written.
	g := launch{settings: settings{"plugin_servers": testServers("msgpack"), "log_level": "warn"}, entities: routes(up.URL, route("/", "{name: fault-go, config: {do: log}}", "{name: fault-python, config: {do: log}}", "{name: fault-js, config: {do: log}}"))}.start(t)
	g.get(t, "/").want(t, 200)
	for _, name := range []string{"fault-go", "fault-python", "fault-js"} {
		for _, level := range levels[3:] {
			g.log.waitFields(t, 0, "plugin", name, "level", level)
		}
		for _, level := range levels[:3] {
			if n := g.log.count(0, "plugin", name, "level", level); n != 0 {
				t.Errorf("%s: %d lines of level %s below the log level", name, n, level)
			}
		}
	}
}
