package examples

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pickyServer hosts picky-LANG, which fails for some requests until PICKY is "fixed".
func pickyServer(lang, carrier string, more ...any) server {
	return pluginServer(lang, carrier, built.goRecorded, filepath.Join(built.repo, "examples/internal/recorded", lang)).with(more...)
}

// recordings lists the files of the black box of a gateway.
func recordings(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.blackbox.json"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// recording waits for the file of a failure.
func recording(t testing.TB, dir, plugin, code string) string {
	t.Helper()
	var found string
	eventually(t, patience, "a recording of "+plugin+" with "+code, func() (bool, string) {
		files := recordings(t, dir)
		for _, f := range files {
			if strings.Contains(f, "-"+plugin+"-access-"+code+"-") {
				found = f
			}
		}
		return found != "", fmt.Sprint(files)
	})
	return found
}

// A plugin fails for one request; the recording of it fails in the same way on the plugin server alone, and succeeds once the plugin is mended.
func TestBlackBox(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		for _, l := range languages {
			t.Run(l.name+"/"+carrier, func(t *testing.T) {
				t.Parallel()
				testBlackBox(t, l.name, carrier)
			})
		}
	}
}

func testBlackBox(t *testing.T, lang, carrier string) {
	plugin := "picky-" + lang
	up := echoUpstream(t)
	box := filepath.Join(t.TempDir(), "box")
	entities := routes(up.URL,
		route("/orders", "{name: key-auth, config: {key_names: [x-shop], hide_credentials: false}}", "{name: "+plugin+", config: {greeting: hi, key: k-e-y-0-1-2}}"),
		route("/open", "{name: "+plugin+"}")) + "consumers:\n- username: ada\n  keyauth_credentials: [{key: the-key-of-ada}]\n"
	g := launch{
		settings: settings{"plugin_servers": []server{pickyServer(lang, carrier)}, "black_box": box, "black_box_bodies": "on", "black_box_redact": "x-customer*"},
		entities: entities,
	}.start(t)
	secrets := []string{"X-Shop", "the-key-of-ada", "Authorization", "Bearer bear-er-1", "Cookie", "sid=cook-ie-1", "X-Customer-No", "cust-omer-1"}
	g.get(t, "/orders?n=1", append([]string{"X-Order", "12"}, secrets...)...).want(t, 200).echo(t).wantUpstream(t, "X-Picky", "hi 12")
	if files := recordings(t, box); len(files) != 0 {
		t.Fatalf("a call that succeeded is recorded: %v", files)
	}
	a, err := g.do("POST", "/orders?api_key=que-ry-1&n=2", []byte("the body, the-key-of-ada"), append([]string{"X-Order", "twelve"}, secrets...)...)
	if err != nil {
		t.Fatal(err)
	}
	a.want(t, 500)
	file := recording(t, box, plugin, "handler_error")
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), `"server": "`+lang+`"`) || !strings.Contains(string(text), `"carrier": "`+carrier+`"`) ||
		!strings.Contains(string(text), `"username": "ada"`) || !strings.Contains(string(text), `"x-order: twelve"`) {
		t.Errorf("%v, the recording is %s", err, text)
	}
	checkFile(t, file, "the-key-of-ada", "bear-er-1", "cook-ie-1", "cust-omer-1", "que-ry-1", "k-e-y-0-1-2")

	command := serverCommand(lang, built.goRecorded, filepath.Join(built.repo, "examples/internal/recorded", lang))
	same := replayed(t, 1, append([]string{file, "--"}, command...)...)
	if !strings.Contains(same, "The call fails in the same way: handler_error.") || !strings.Contains(same, "notice: order twelve") ||
		!strings.Contains(same, "asked       request.get_raw_body = ") || !strings.Contains(same, "give them with --config: key") {
		t.Errorf("the replay says\n%s", same)
	}
	settings := filepath.Join(t.TempDir(), "outrigger.yaml")
	text, err := json.Marshal(map[string]any{"plugin_servers": []server{pickyServer(lang, carrier, "env", map[string]any{"PICKY": "fixed"})}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, settings, string(text))
	other := carriers[1-slices.Index(carriers, carrier)]
	fixed := replayed(t, 0, file, "--settings", settings, "--carrier", other, "--config", `{"key": "k"}`)
	if !strings.Contains(fixed, "The call succeeds now.") || !strings.Contains(fixed, `service.request.set_header("X-Picky", "hi twelve `) || strings.Contains(fixed, "--config: key") {
		t.Errorf("the replay of the mended plugin says\n%s", fixed)
	}
}

// checkFile looks for what must not be in a recording, and at who may read it.
func checkFile(t testing.TB, file string, secrets ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets {
		if strings.Contains(string(text), s) {
			t.Errorf("%s is in the recording:\n%s", s, text)
		}
	}
	for path, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700 | os.ModeDir} {
		if at, err := os.Stat(path); err != nil || at.Mode() != want {
			t.Errorf("%s: %v %v, expected %v", path, at.Mode(), err, want)
		}
	}
}

// replayed is what outrigger replay prints; nothing may be left of it.
func replayed(t testing.TB, code int, args ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp(built.temp, "r")
	if err != nil {
		t.Fatal(err)
	}
	r := command(t, dir, environment(dir), append([]string{"replay"}, args...)...)
	if r.code != code {
		t.Errorf("outrigger replay %s: exit code %d, expected %d\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("the replay left %v", left)
	}
	return r.out + r.err
}

// A call that hangs and one that ends its process are recorded as what they are, and do it again.
func TestBlackBoxHangsAndDeaths(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			plugin := "picky-" + l.name
			box := filepath.Join(t.TempDir(), "box")
			up := echoUpstream(t)
			g := launch{
				settings: settings{"plugin_servers": []server{pickyServer(l.name, "msgpack")}, "black_box": box, "black_box_bodies": "on"},
				entities: routes(up.URL, route("/slow", "{name: "+plugin+", timeout: 300}"), route("/fast", "{name: "+plugin+"}")),
			}.start(t)
			g.get(t, "/slow", "X-Order", "hang").want(t, 500)
			hang := recording(t, box, plugin, "timeout")
			g.get(t, "/fast", "X-Order", "die").want(t, 500)
			death := recording(t, box, plugin, "closed")
			server := serverCommand(l.name, built.goRecorded, filepath.Join(built.repo, "examples/internal/recorded", l.name))
			if out := replayed(t, 1, append([]string{hang, "--timeout", "500ms", "--"}, server...)...); !strings.Contains(out, "The call fails in the same way: timeout.") {
				t.Errorf("hang: the replay says\n%s", out)
			}
			if out := replayed(t, 1, append([]string{death, "--"}, server...)...); !strings.Contains(out, "The call fails in the same way: closed.") || !strings.Contains(out, "3") {
				t.Errorf("death: the replay says\n%s", out)
			}
			fixed := append([]string{"env", "PICKY=fixed"}, server...)
			for _, file := range []string{hang, death} {
				if out := replayed(t, 0, append([]string{file, "--"}, fixed...)...); !strings.Contains(out, "The call succeeds now.") {
					t.Errorf("mended: the replay says\n%s", out)
				}
			}
		})
	}
}

// What cannot be replayed says why, with exit code 2.
func TestReplayRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rec := `{"outrigger_recording": 1, "plugin": {"name": "nobody"}, "config": {}, "call": {"phase": "access"}}`
	for name, c := range map[string]struct {
		file string
		args []string
		want string
	}{
		"no recording":   {"{}", []string{"--", "true"}, "no recording of the black box"},
		"newer":          {`{"outrigger_recording": 99}`, []string{"--", "true"}, "is of version 99, this program reads up to 1"},
		"damaged":        {strings.Replace(rec, `"access"`, `7`, 1), []string{"--", "true"}, "damaged: line 1"},
		"other plugin":   {rec, []string{"--", built.goRecorded}, `does not host the plugin "nobody" of the recording; it hosts picky-go`},
		"other phase":    {strings.Replace(rec, "nobody", "picky-go", 1), []string{"--phase", "log", "--", built.goRecorded}, "does not handle the phase log, only access"},
		"refused config": {strings.Replace(strings.Replace(rec, "nobody", "picky-go", 1), `"config": {}`, `"config": {"greeting": 7}, "config_secrets": ["key"]`, 1), []string{"--", built.goRecorded}, "leaves out the secrets key"},
		"no server":      {rec, []string{"--", "false"}, "before it was up"},
		"nobody there":   {rec, []string{"--server", "unix://" + dir + "/none.sock"}, "no plugin server listens at unix://" + dir + "/none.sock"},
		"usage":          {rec, nil, "expected one plugin server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "x.json")
			write(t, file, c.file)
			if out := replayed(t, 2, append([]string{file}, c.args...)...); !strings.Contains(out, c.want) {
				t.Errorf("found %s, expected %q", out, c.want)
			}
		})
	}
}

// A server that somebody else runs, such as one in a debugger, is used and left alone; a question that the recording does not have is told.
func TestReplayOnAnAttachedServer(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp(built.temp, "s")
			if err != nil {
				t.Fatal(err)
			}
			address := "unix://" + filepath.Join(dir, "s.sock")
			command := serverCommand(l.name, built.goRecorded, filepath.Join(built.repo, "examples/internal/recorded", l.name))
			server := attachCommand(t, l.name, address, append(command, "--listen", address))
			eventually(t, startPatience, "the socket of the server", func() (bool, string) {
				_, err := os.Stat(filepath.Join(dir, "s.sock"))
				return err == nil, fmt.Sprint(err)
			})
			file := filepath.Join(t.TempDir(), "x.json")
			text := fmt.Sprintf(`{"outrigger_recording": 1, "plugin": {"name": "picky-%s", "record": "r"}, "config": {"greeting": "hello", "key": ""}, "failure": {"code": "timeout"},
				"call": {"phase": "access", "timeout_ms": 9000, "request": {"method": "GET", "target": "/", "path": "/", "headers": ["x-order: 5"]}}, "asks": [%%s]}`, l.name)
			write(t, file, fmt.Sprintf(text, ""))
			for _, carrier := range carriers {
				out := replayed(t, 1, file, "--server", address, "--carrier", carrier)
				if !strings.Contains(out, "asked for request.get_raw_body, which the recording does not have") ||
					!strings.Contains(out, "The call fails in another way: handler_error, recorded was timeout.") {
					t.Errorf("%s: the replay says\n%s", carrier, out)
				}
			}
			write(t, file, fmt.Sprintf(text, `{"function": "request.get_raw_body", "number": 1, "bytes": {"size": 4, "sha256": "x"}}`))
			if out := replayed(t, 1, file, "--server", address); !strings.Contains(out, "leaves this body out (4 bytes): give it with --body FILE") {
				t.Errorf("without the body: the replay says\n%s", out)
			}
			body := filepath.Join(t.TempDir(), "body")
			write(t, body, "four")
			out := replayed(t, 0, file, "--server", address, "--body", body, "--json")
			var report struct {
				Verdict string
				Notes   []string
				Outcome struct{ Operations []struct{ Values []string } }
			}
			if err := json.Unmarshal([]byte(out), &report); err != nil || report.Verdict != "succeeds" || len(report.Outcome.Operations) != 1 ||
				report.Outcome.Operations[0].Values[0] != "hello 5" || !strings.Contains(fmt.Sprint(report.Notes), "not the recorded one") {
				t.Errorf("with a body: %v, the replay says\n%s", err, out)
			}
			select {
			case <-server.ended:
				t.Error("the replay ended a server that is not its own")
			default:
			}
		})
	}
}
