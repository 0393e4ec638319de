package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// replacementsOf is how many replacements the test under load makes for each language and carrier: OUTRIGGER_REPLACEMENTS, else few.
func replacementsOf(t testing.TB) int {
	t.Helper()
	text := os.Getenv("OUTRIGGER_REPLACEMENTS")
	if text == "" {
		return 12
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("OUTRIGGER_REPLACEMENTS: found %q, expected a number from 1", text)
	}
	return n
}

// A plugin server is replaced again and again under load, by SIGHUP, by the Admin listener and by the command, and no request notices: none fails,
// none sees two builds, and none sees a build that was replaced before it began.
func TestReplacementsUnderLoad(t *testing.T) {
	upstream := echoUpstream(t)
	total := replacementsOf(t)
	for _, l := range languages {
		for _, carrier := range carriers {
			t.Run(l.name+"/"+carrier, func(t *testing.T) {
				t.Parallel()
				p := newReplaced(t, l.name, carrier)
				g := p.gateway(t, upstream.URL, p.entry(t))
				load := g.prove(4)
				defer load.end(t)
				for i := 1; i <= total; i++ {
					p.become(t, i, "")
					switch i % 3 {
					case 0:
						mark := g.log.mark()
						g.signal(t, syscall.SIGHUP)
						g.log.waitWithin(t, startPatience, mark, "the new build", func(n line) bool {
							if n.has("msg", "the plugin server is not replaced, the old build goes on serving") {
								t.Fatalf("replacement %d: %v", i, n)
							}
							return n.has("msg", "a new build of the plugin server is live")
						})
					case 1:
						if status, answer := g.ask(t, "POST", "/plugin-servers/"+l.name+"/replace", ""); status != 200 || answer["result"] != "live" {
							t.Fatalf("replacement %d: status %d, %v", i, status, answer)
						}
					default:
						if r := outrigger(t, nil, "replace", l.name, "--admin", g.admin); r.code != 0 {
							t.Fatalf("replacement %d: %+v", i, r)
						}
					}
					load.acknowledged.Store(int64(i))
					before := load.sent.Load()
					eventually(t, patience, "requests after a replacement", func() (bool, string) {
						return load.sent.Load() > before+8, fmt.Sprint(load.sent.Load()-before, " requests")
					})
				}
				load.end(t)
				if s := g.server(t, l.name); s["build"] != float64(total+1) {
					t.Errorf("found %v, expected build %d", s, total+1)
				}
				eventually(t, patience, "one process of the plugin server", func() (bool, string) {
					pids := g.serverPIDs(t, l.name)
					return len(pids) == 1, fmt.Sprint(pids)
				})
			})
		}
	}
}

// A new build that fails, however it fails, never takes a request, is told with its reason, and leaves no process.
func TestFailingBuilds(t *testing.T) {
	upstream := echoUpstream(t)
	reasons := map[string]string{
		"exit": "found a bug at the start", "crash": "exit status 3", "refuse": "no configuration suits me", "lie": `"versioned"`, "hang": "no answer in time",
	}
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			p := newReplaced(t, l.name, "msgpack")
			entry := p.entry(t)
			g := p.gateway(t, upstream.URL, entry)
			pid := g.serverPID(t, l.name)
			load := g.prove(2)
			defer load.end(t)
			for does, reason := range reasons {
				p.become(t, 1000, does)
				body := ""
				if does == "hang" { // the start timeout is that of the settings: this one is short
					g.say(t, settings{"plugin_servers": []server{entry.with("start_timeout", "10s")}})
					mark := g.refresh(t)
					n := g.log.waitFields(t, mark, "msg", "the plugin server is not replaced, the old build goes on serving")
					if !strings.Contains(n.text("error"), reason) {
						t.Errorf("%s: told %v, expected %q", does, n, reason)
					}
					g.say(t, nil)
				} else if status, answer := g.ask(t, "POST", "/plugin-servers/"+l.name+"/replace", body); status != 422 || !strings.Contains(fmt.Sprint(answer["message"]), reason) {
					t.Errorf("%s: status %d, %v; expected 422 and %q", does, status, answer, reason)
				}
				if r, ok := g.server(t, l.name)["replacement"].(map[string]any); !ok || r["result"] != "failed" || !strings.Contains(fmt.Sprint(r["reason"]), reason) {
					t.Errorf("%s: found the replacement %v", does, r)
				}
			}
			// A canary that fails at the start is no canary.
			p.become(t, 1000, "refuse")
			if r := outrigger(t, nil, "replace", l.name, "--admin", g.admin, "--canary", "50%"); r.code != 1 || !strings.Contains(r.err, "no configuration suits me") {
				t.Errorf("found %+v, expected code 1 and the reason", r)
			}
			load.end(t)
			eventually(t, patience, "the old process alone", func() (bool, string) {
				pids := g.serverPIDs(t, l.name)
				return len(pids) == 1 && pids[0] == pid, fmt.Sprint(pids)
			})
			// A command from anybody, and names that are not there.
			p.become(t, 1, "")
			if status, answer := g.ask(t, "POST", "/plugin-servers/"+l.name+"/replace", `{"command": ["true"]}`); status != 403 || !strings.Contains(fmt.Sprint(answer["message"]), "expected a unix socket") {
				t.Errorf("status %d, %v; expected 403", status, answer)
			}
			g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v0")
			if status, answer := g.ask(t, "POST", "/plugin-servers/none/replace", ""); status != 404 || !strings.Contains(fmt.Sprint(answer["message"]), "expected one of "+l.name) {
				t.Errorf("status %d, %v", status, answer)
			}
		})
	}
}

// Who reaches the unix socket of the Admin listener may say the command of a new build.
func TestReplaceByCommand(t *testing.T) {
	t.Parallel()
	p := newReplaced(t, "python", "msgpack")
	entry := p.entry(t)
	socket := "unix://" + filepath.Join(built.temp, "replace.sock")
	s := settings{"plugin_servers": []server{entry}, "admin_listen": socket}
	g := launch{settings: s, entities: routes(echoUpstream(t).URL, route("/", "{name: versioned, config: {mark: m}}"))}.start(t)
	p.become(t, 1, "")
	args := append([]string{"replace", "python", "--admin", socket, "--", "env"}, entry["command"].([]string)...)
	if r := outrigger(t, nil, args...); r.code != 0 {
		t.Errorf("found %+v, expected code 0", r)
	}
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v1")
}

// SIGHUP makes what runs what the settings say: what did not change is left alone.
func TestSignalFollowsSettings(t *testing.T) {
	t.Parallel()
	upstream := echoUpstream(t)
	p := newReplaced(t, "python", "msgpack")
	entry := p.entry(t)
	g := p.gateway(t, upstream.URL, entry)
	pid := g.serverPID(t, "python")
	load := g.prove(2)
	defer load.end(t)
	unchanged := func(what string) {
		t.Helper()
		if now := g.serverPID(t, "python"); now != pid {
			t.Fatalf("%s: found process %d, expected %d", what, now, pid)
		}
	}
	fresh := func(what string) {
		t.Helper()
		eventually(t, patience, "a new process alone: "+what, func() (bool, string) {
			pids := g.serverPIDs(t, "python")
			if len(pids) != 1 || pids[0] == pid {
				return false, fmt.Sprint(pids)
			}
			pid = pids[0]
			return true, ""
		})
	}
	g.refresh(t)
	unchanged("nothing changed")
	p.become(t, 0, "")
	g.refresh(t)
	unchanged("the same content again")
	g.say(t, settings{"plugin_servers": []server{entry.with("canary", map[string]any{"share": "5%"})}})
	g.refresh(t)
	unchanged("what is not about the processes")

	g.say(t, settings{"plugin_servers": []server{entry.with("env", map[string]string{"PYTHONDONTWRITEBYTECODE": "1", "MORE": "1"})}})
	g.refresh(t)
	fresh("another environment")

	// A mistake in the settings, and a server that does not come up, change nothing.
	g.say(t, settings{"plugin_servers": []server{entry.with("processes", "many")}})
	mark := g.refreshRefused(t)
	if n := g.log.waitFields(t, mark, "msg", "the settings are refused, the plugin servers stay as they are"); !strings.Contains(n.text("error"), "processes") {
		t.Errorf("told %v", n)
	}
	g.say(t, settings{"log_queue_size": 7, "plugin_servers": []server{entry.with("env", map[string]string{"PYTHONDONTWRITEBYTECODE": "1", "MORE": "1"}), {"name": "broken", "command": []string{"/no/such/program"}}}})
	mark = g.refresh(t)
	g.log.waitFields(t, mark, "msg", "the plugin server of the settings is not added; SIGHUP tries it again", "server", "broken")
	g.log.waitFields(t, mark, "msg", "the setting has changed and needs a restart", "setting", "log_queue_size", "live", "4096", "found", "7")
	unchanged("another server is broken")

	// A new server, and the entities that use it, come together; and go together.
	with := []server{entry.with("env", map[string]string{"PYTHONDONTWRITEBYTECODE": "1", "MORE": "1"}), exampleServer("go", "msgpack")}
	g.say(t, settings{"plugin_servers": with})
	both := routes(upstream.URL, route("/", "{name: versioned, config: {mark: m}}", "{name: hello-go, config: {greeting: hi}}"))
	g.reload(t, both)
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Hello-Go", "hi, world").wantHeader(t, "X-Access", "v0")
	goPID := g.serverPID(t, "go")
	unchanged("another server came")
	g.say(t, settings{"plugin_servers": with[:1]})
	mark = g.refresh(t)
	g.log.waitFields(t, mark, "msg", "the plugin server is not in the settings any more but is needed: it stays", "server", "go")
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Hello-Go", "hi, world")
	write(t, g.entities, routes(upstream.URL, route("/", "{name: versioned, config: {mark: m}}")))
	mark = g.refresh(t)
	g.log.waitFields(t, mark, "msg", "the plugin server is not in the settings any more: it ends", "server", "go")
	eventually(t, patience, "the end of the removed server", func() (bool, string) { return len(running([]int{goPID})) == 0, fmt.Sprint(goPID) })
	if g.server(t, "go") != nil {
		t.Error("the removed server is in the status")
	}
	unchanged("another server went")
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v0")
}

// refreshRefused is refresh for settings that are refused.
func (g *operated) refreshRefused(t testing.TB) (since int) {
	t.Helper()
	mark := g.log.mark()
	g.hup(t, g.read(t))
	return mark
}
