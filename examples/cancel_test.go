package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// When the deadline of a call passes its handler hears of it and stops; nothing of it is applied, neither what it had written before nor what
// it tries to write then.
func TestCancellationReachesTheHandler(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			plugins := []string{"waits-go", "waits-python", "waits-async-python", "waits-js"}
			var list []string
			for _, p := range plugins {
				for _, mode := range []string{"open", "closed"} {
					list = append(list, route("/"+p+"/"+mode, fmt.Sprintf("{name: %s, timeout: 500ms, fail_mode: %s, config: {dir: %s}}", p, mode, dir)))
				}
				list = append(list, route("/"+p+"/served", fmt.Sprintf("{name: %s}", p)))
			}
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
			for _, p := range plugins {
				g.get(t, "/"+p+"/open", "X-Hold", p+"-open").want(t, 200).echo(t).wantUpstream(t, "X-Fault")
				g.get(t, "/"+p+"/closed", "X-Hold", p+"-closed").want(t, 500)
				for _, name := range []string{p + "-open", p + "-closed"} {
					if _, err := os.Stat(filepath.Join(dir, "began-"+name)); err != nil {
						continue // the deadline passed before the handler had begun: there is nothing to cancel
					}
					var found []byte
					eventually(t, patience, "the handler of "+name+" to stop", func() (bool, string) {
						found, _ = os.ReadFile(filepath.Join(dir, "stopped-"+name))
						return len(found) > 0, ""
					})
					if string(found) != "refused" {
						t.Errorf("%s: a write after the cancel was %s", name, found)
					}
				}
				g.get(t, "/"+p+"/served").want(t, 200).wantHeader(t, "X-Waits", "served")
			}
			if began, _ := filepath.Glob(filepath.Join(dir, "began-*")); len(began) == 0 {
				t.Error("no handler had begun when its deadline passed")
			}
		})
	}
}

// A plugin that hangs in configure holds up its own instance: the others of the same server are configured and served, its own requests get the
// answer of the fail mode, and it is asked again until it answers.
func TestConfigureThatHangs(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, p := range []struct{ lang, plugin string }{
		{"go", "waits-go"}, {"python", "waits-python"}, {"python", "waits-async-python"}, {"js", "waits-js"},
	} {
		t.Run(p.plugin, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			list := []string{
				route("/hangs", fmt.Sprintf("{name: %s, config: {dir: %s, hang: true}}", p.plugin, dir)),
				route("/open", fmt.Sprintf("{name: %s, fail_mode: open, config: {dir: %s, hang: true}}", p.plugin, dir)),
			}
			for i := range 3 {
				list = append(list, route(fmt.Sprintf("/well/%d", i), fmt.Sprintf("{name: %s}", p.plugin)))
			}
			s := testServer(p.lang, "msgpack").with("start_timeout", "10s") // also for the plugin that hangs
			g := launch{late: true, settings: settings{"plugin_servers": []server{s}}, entities: routes(up.URL, list...)}.start(t)
			for i := range 3 {
				path := fmt.Sprintf("/well/%d", i)
				eventually(t, startPatience, path+" to answer", func() (bool, string) {
					a := g.get(t, path)
					return a.status == 200 && a.header.Get("X-Waits") == "served", a.String()
				})
			}
			if a := g.get(t, "/hangs"); a.status != 500 && a.status != 503 {
				t.Errorf("an instance that is not configured: %v", a)
			}
			if a := g.get(t, "/open"); a.status != 503 && (a.status != 200 || a.header.Get("X-Waits") != "") {
				t.Errorf("an instance that is not configured and fails open: %v", a)
			}
			write(t, filepath.Join(dir, "release"), "")
			for _, path := range []string{"/hangs", "/open"} {
				eventually(t, startPatience, path+" to be configured at last", func() (bool, string) {
					a := g.get(t, path)
					return a.status == 200 && a.header.Get("X-Waits") == "served", a.String()
				})
			}
		})
	}
}
