package examples

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A handler that takes its server with it has run once: neither the call nor the request to the upstream is sent again, whatever the phase and
// however few bytes came back.
func TestLesson05NothingIsSentTwice(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			var forwarded atomic.Int64
			up := serve(t, func(w http.ResponseWriter, r *http.Request) {
				forwarded.Add(1)
				echoHandler(w, r)
			})
			phases := []struct {
				name      string
				forwarded int64
			}{{"access", 0}, {"header_filter", 1}}
			var servers []server
			var list []string
			for _, l := range languages {
				servers = append(servers, testServer(l.name, carrier).with("timeout", "10s", "quarantine", "off", "crash_loop", map[string]any{"deaths": 0}))
				for _, p := range phases {
					list = append(list, route("/"+l.name+"/"+p.name, fmt.Sprintf("{name: fault-%s, config: {do: die, phase: %s}}", l.name, p.name)))
				}
			}
			g := launch{settings: settings{"plugin_servers": servers}, entities: routes(up.URL, list...)}.start(t)
			for _, l := range languages {
				for _, p := range phases {
					mark, before := g.log.mark(), forwarded.Load()
					if a, err := g.do("POST", "/"+l.name+"/"+p.name, []byte("body")); err != nil || a.status != 500 {
						t.Fatalf("%s: found %v, %v, expected the answer of the fail mode", l.name, a, err)
					}
					g.log.waitWithin(t, startPatience, mark, "the restart of "+l.name, func(n line) bool {
						return n.has("msg", "plugin server is ready", "server", l.name) && n["pid"] != nil
					})
					if n := g.log.count(mark, "msg", "plugin server is down", "server", l.name); n != 1 {
						t.Errorf("%s, %s: one request has ended the server %d times, expected once: the call was sent again", l.name, p.name, n)
					}
					if n := forwarded.Load() - before; n != p.forwarded {
						t.Errorf("%s, %s: the upstream got the request %d times, expected %d", l.name, p.name, n, p.forwarded)
					}
				}
			}
		})
	}
}

// Servers that die with every call are left alone after a few deaths, one that is not there is looked for with waits in between, and the gateway,
// which requests go on to reach, has almost nothing to do.
func TestLesson05DeadServersCostNothing(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			up := echoUpstream(t)
			const deaths = 3
			servers := []server{{"name": "nowhere", "address": "unix://" + filepath.Join(t.TempDir(), "nobody.sock")}}
			var list []string
			for _, l := range languages {
				servers = append(servers, testServer(l.name, carrier).with("quarantine", "off", "crash_loop", map[string]any{"deaths": deaths, "within": "1h", "hold": "1h"}))
				list = append(list, route("/"+l.name, fmt.Sprintf("{name: fault-%s, config: {do: die}}", l.name)))
			}
			g := launch{late: true, settings: settings{"plugin_servers": servers, "status_listen": "127.0.0.1:0"}, entities: routes(up.URL, list...)}.start(t)
			for _, l := range languages {
				eventually(t, startPatience, "the crash loop of "+l.name, func() (bool, string) {
					g.get(t, "/"+l.name).want(t, 500)
					reason := reasonOf(t, g, l.name)
					return strings.Contains(reason, "crash loop: "+strconv.Itoa(deaths)+" deaths within 1h"), reason
				})
			}
			begin, used := time.Now(), processorTime(t, g.pid)
			requests := 0
			for time.Since(begin) < 3*time.Second { // a window to measure in
				for _, l := range languages {
					g.get(t, "/"+l.name).want(t, 500)
					requests++
				}
				<-time.After(50 * time.Millisecond)
			}
			used, took := processorTime(t, g.pid)-used, time.Since(begin)
			t.Logf("%d requests in %v took %v of processor time", requests, took.Round(time.Millisecond), used)
			if used > took/2 {
				t.Errorf("the gateway has used %v of processor time in %v, expected next to nothing", used, took)
			}
			for _, l := range languages {
				if n := g.log.count(0, "msg", "plugin server is down", "server", l.name); n != deaths {
					t.Errorf("%s went down %d times, expected %d: it is left alone then", l.name, n, deaths)
				}
				if pids := g.serverPIDs(t, l.name); len(pids) != 0 {
					t.Errorf("%s runs as %v, expected that nothing is started for an hour", l.name, pids)
				}
			}
		})
	}
}

// processorTime is what a process has used of the processors, its children not counted.
func processorTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int // of a hundredth of a second
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// A configuration that a plugin refuses, or that names a plugin nobody has, is no configuration: at the start the gateway serves nothing, later the
// old one stays, and the door that it keeps stays closed.
func TestLesson08NoPluginNoOpenRoute(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, carrier := range carriers {
		for _, l := range languages {
			t.Run(l.name+" "+carrier, func(t *testing.T) {
				t.Parallel()
				door := func(more string) string {
					return routes(up.URL, route("/door", "{name: login-"+l.name+"}"+more)) + "consumers: [{username: ada}]\n"
				}
				s := settings{"plugin_servers": []server{testServer(l.name, carrier)}, "status_listen": "127.0.0.1:0"}
				wrong := map[string][]string{
					door(", {name: nobody-has-it}"): {`found "nobody-has-it"`, "expected a plugin that is loaded"},
					door(fmt.Sprintf(", {name: strict-%s, config: {token: long-enough, rules: [{name: nobody}]}}", l.name)): {"strict-" + l.name, "found a name that nobody has"},
					strings.Replace(door(""), "login-"+l.name, "login-"+l.name+", config: {do: 5}", 1):                      {"services[0].routes[0].plugins[0].config.do", "found 5", "expected a string"},
				}
				for entities, parts := range wrong {
					first := launch{settings: s, entities: entities}.begin(t)
					first.stops = true // by itself
					refused := false
					eventually(t, startPatience, "the end of a first start with a wrong configuration", func() (bool, string) {
						select {
						case <-first.ended:
							refused = true
						default:
						}
						return refused || strings.Contains(first.out.text(), "is ready on"), "it starts"
					})
					switch {
					case !refused:
						t.Errorf("the gateway serves a wrong configuration, expected a refusal with %q", parts)
					case first.cmd.ProcessState.ExitCode() != 1 || !holdsAll(first.log.text(), parts):
						t.Errorf("a first start with a wrong configuration: code %d, expected 1 and a log with %q", first.cmd.ProcessState.ExitCode(), parts)
					}
				}
				g := launch{settings: s, entities: door("")}.start(t)
				for entities, parts := range wrong {
					if refused := g.hup(t, entities); refused.text("msg") != reloadRefused || !holdsAll(refused.text("error"), parts) {
						t.Errorf("found %v, expected a refusal with %q", refused, parts)
					}
					g.get(t, "/door").want(t, 401)
					g.get(t, "/door", "X-User", "ada").want(t, 200).echo(t).wantUpstream(t, "X-Who", "ada")
				}
			})
		}
	}
}

// A plugin that fails open is passed by only with the message as it was: a request body that it has read, replaced and then failed over reaches the
// upstream whole, a response of which it has changed nothing reaches the client whole, and one that it has begun to change is cut off.
func TestLesson10OpenOnlyWithTheMessageAsItWas(t *testing.T) {
	t.Parallel()
	response := strings.Repeat("a piece ", 32<<10) // it comes in several
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			up := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					echoHandler(w, r)
					return
				}
				fmt.Fprint(w, response)
			})
			var list []string
			for _, l := range languages {
				list = append(list, route("/request/"+l.name, "{name: body-"+l.name+", fail_mode: open}"))
				for _, fail := range []string{"changed", "unchanged"} {
					list = append(list, route("/"+fail+"/"+l.name, fmt.Sprintf("{name: pieces-%s, fail_mode: open, config: {fail: %s}}", l.name, fail)))
				}
			}
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
			for _, l := range languages {
				body := strings.Repeat("0123456789abcdef", 8<<10)
				for _, headers := range [][]string{{"X-Raise", "1"}, {"X-Raise", "1", "X-Replace", "5"}} {
					a, err := g.do("POST", "/request/"+l.name, []byte(body), headers...)
					if err != nil {
						t.Fatal(err)
					}
					e := a.want(t, 200).echo(t)
					e.wantUpstream(t, "X-Body")
					if e.Body != body {
						t.Errorf("%s: the upstream got %d bytes, expected all %d that the client sent", l.name, len(e.Body), len(body))
					}
				}
				if a := g.get(t, "/unchanged/"+l.name).want(t, 200); string(a.body) != response {
					t.Errorf("%s: found a body of %d bytes, expected the %d of the upstream", l.name, len(a.body), len(response))
				}
				if a, err := g.do("GET", "/changed/"+l.name, nil); err == nil {
					t.Errorf("%s: found a complete answer of %d bytes, a part of them changed, expected that it is cut off", l.name, len(a.body))
				}
			}
		})
	}
}

// An attached server that is not reached: the gateway is not ready, its routes are closed, the reason names the path, what is there, whose it is and
// what was expected, and the attempts have waits between them.
func TestLesson19UnreachableServersAreExplained(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	dir, err := os.MkdirTemp(built.temp, "s")
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	listen := func(name string, mode os.FileMode, keep bool) {
		ln, err := net.Listen("unix", at(name))
		if err != nil {
			t.Fatal(err)
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false)
		if err := os.Chmod(at(name), mode); err != nil {
			t.Fatal(err)
		}
		if keep {
			t.Cleanup(func() { ln.Close() })
		} else {
			ln.Close()
		}
	}
	listen("plugins.sock", 0o600, false)
	listen("everybody.sock", 0o666, true)
	write(t, at("file.sock"), "")
	foreign := at("foreign")
	header := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 57)...)
	header[16], header[18], header[20], header[52] = 2, 243, 1, 64 // a program for RISC-V, without anything in it
	if err := os.WriteFile(foreign, header, 0o700); err != nil {
		t.Fatal(err)
	}
	me := strconv.Itoa(os.Geteuid())
	servers := map[string]struct {
		server
		parts []string
	}{
		"suffix":  {server{"address": "unix://" + at("plugins.socket")}, []string{at("plugins.socket") + " does not exist", "holds the sockets", "plugins.sock"}},
		"nobody":  {server{"address": "unix://" + at("plugins.sock")}, []string{"nobody listens on unix socket " + at("plugins.sock"), "owner ", "mode Srw-------"}},
		"file":    {server{"address": "unix://" + at("file.sock")}, []string{at("file.sock") + " is no unix socket", "owner ", "mode -rw-------"}},
		"mode":    {server{"address": "unix://" + at("everybody.sock"), "socket": map[string]any{"mode": "0600"}}, []string{at("everybody.sock"), "found permissions 0666, expected at most 0600"}},
		"owner":   {server{"address": "unix://" + at("everybody.sock"), "socket": map[string]any{"owner": "54321"}}, []string{at("everybody.sock"), "found owner ", "expected 54321"}},
		"machine": {server{"command": []string{foreign}}, []string{foreign + " cannot be run here", "built for EM_RISCV, this machine is "}},
	}
	if me == "54321" {
		delete(servers, "owner")
	}
	var list []server
	for name, s := range servers {
		wait := "1s"
		if s.server["command"] != nil { // it ends at once, as soon as the machine lets it
			wait = "30s"
		}
		list = append(list, s.with("name", name, "start_timeout", wait))
	}
	g := launch{late: true, settings: settings{"plugin_servers": list, "status_listen": "127.0.0.1:0"}, entities: routes(up.URL, route("/", "{name: of-one-of-them}"))}.start(t)
	for name, s := range servers {
		eventually(t, patience, "the reason of "+name, func() (bool, string) {
			reason := reasonOf(t, g, name)
			return holdsAll(reason, s.parts), reason
		})
	}
	g.get(t, "/").want(t, 503)
	begin, used, tried := time.Now(), processorTime(t, g.pid), attempts(t, g)
	<-time.After(3 * time.Second) // a window to measure in
	used, tried = processorTime(t, g.pid)-used, attempts(t, g)-tried
	took := time.Since(begin)
	t.Logf("%d attempts in %v took %v of processor time", tried, took.Round(time.Millisecond), used)
	if most := len(servers) * int(took/time.Second+1) * 4; used > took/2 || tried == 0 || tried > most {
		t.Errorf("%d attempts and %v of processor time in %v, expected 1 to %d: attempts go on, with waits between them", tried, used, took, most)
	}
	g.get(t, "/").want(t, 503)
}

// reasonOf is why a plugin server keeps a gateway from being ready; empty when it does not.
func reasonOf(t *testing.T, g *gateway, name string) string {
	t.Helper()
	status, body := page(t, statusOf(t, g)+"/ready")
	var answer struct {
		Reasons []struct{ Server, Reason string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for _, r := range answer.Reasons {
		if r.Server == name && status == http.StatusServiceUnavailable {
			return r.Reason
		}
	}
	return ""
}

// attempts is how often the plugin servers of a gateway were started or connected to.
func attempts(t *testing.T, g *gateway) int {
	t.Helper()
	_, text := page(t, statusOf(t, g)+"/metrics")
	sum := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "outrigger_plugin_process_starts_total{") {
			n, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]))
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}
