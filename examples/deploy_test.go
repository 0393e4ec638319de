package examples

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// deployFile reads a file of examples/deploy.
func deployFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(built.repo, "examples/deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unit is a unit file of systemd: section.key to its values.
type unit map[string][]string

func parseUnit(t *testing.T, text string) unit {
	t.Helper()
	u, section := unit{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || section == "" {
				t.Fatalf("found the line %q", line)
			}
			u[section+"."+key] = append(u[section+"."+key], value)
		}
	}
	return u
}

// one is the only value of a key.
func (u unit) one(t *testing.T, key string) string {
	t.Helper()
	if len(u[key]) != 1 {
		t.Fatalf("found %s=%q, expected one value", key, u[key])
	}
	return u[key][0]
}

// helps are what the programs say about their flags.
func helps(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, command := range map[string][]string{
		"outrigger": {built.host, "help", "settings"},
		"plugins":   {built.goExamples, "--help"},
		"python":    {filepath.Join(built.repo, ".venv/bin/python"), "-m", "outrigger", "serve", "--help"},
		"node":      {"node", filepath.Join(built.repo, "examples/js/node_modules/.bin/outrigger-js"), "--help"},
	} {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Env = environment(built.temp)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", command, err, out)
		}
		all[name] = string(out)
	}
	all["outrigger"] += outrigger(t, nil, "help").out
	all["my-plugins"] = all["plugins"]
	return all
}

var flagWord = regexp.MustCompile(`^--?([a-z][a-z-]*)`)

// knows fails the test for a flag of a command line that its program does not have.
func knows(t *testing.T, helps map[string]string, words []string) {
	t.Helper()
	help, ok := helps[filepath.Base(words[0])]
	if !ok {
		t.Fatalf("%q: found the program %s, expected one of ours", words, words[0])
	}
	for _, word := range words[1:] {
		m := flagWord.FindStringSubmatch(word)
		if m == nil || word == "-m" {
			continue
		}
		if !regexp.MustCompile(`(^|[\s\[(])--?` + m[1] + `\b`).MatchString(help) {
			t.Errorf("%q: the program has no flag %s; its help:\n%s", words, word, help)
		}
	}
}

// after is the word behind another one.
func after(t *testing.T, words []string, word string) string {
	t.Helper()
	i := slices.Index(words, word)
	if i < 0 || i+1 >= len(words) {
		t.Fatalf("found %q, expected %s and a value", words, word)
	}
	return words[i+1]
}

func TestDeploySystemd(t *testing.T) {
	t.Parallel()
	known := helps(t)
	gateway, plugins := parseUnit(t, deployFile(t, "systemd/outrigger.service")), parseUnit(t, deployFile(t, "systemd/outrigger-plugins.service"))
	run, serve := strings.Fields(gateway.one(t, "Service.ExecStart")), strings.Fields(plugins.one(t, "Service.ExecStart"))
	knows(t, known, run)
	knows(t, known, serve)
	for line := range strings.Lines(deployFile(t, "README.md")) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
			knows(t, known, strings.Fields(command))
		}
	}
	if gateway.one(t, "Service.User") != plugins.one(t, "Service.User") {
		t.Error("the units have different users: the sockets are their owner's alone")
	}
	if kind, access := gateway.one(t, "Service.Type"), gateway.one(t, "Service.NotifyAccess"); kind != "notify" || access != "main" {
		t.Errorf("found Type=%s and NotifyAccess=%s, expected notify and main", kind, access)
	}
	if mode := gateway.one(t, "Service.KillMode"); mode != "mixed" { // else managed plugin servers end before the requests do that need them
		t.Errorf("found KillMode=%s, expected mixed", mode)
	}
	socket := parseUnit(t, deployFile(t, "systemd/outrigger.socket"))
	if listen := socket.one(t, "Socket.ListenStream"); !strings.Contains(deployFile(t, "systemd/outrigger.yaml"), "proxy_listen: "+listen+"\n") {
		t.Errorf("the socket is at %s, and the settings do not say so", listen)
	}
	address := after(t, serve, "--listen")
	if dir := "/run/" + plugins.one(t, "Service.RuntimeDirectory"); filepath.Dir(strings.TrimPrefix(address, "unix://")) != dir {
		t.Errorf("the plugin server listens at %s, its directory is %s", address, dir)
	}
	if path := after(t, run, "--settings"); path != "/etc/outrigger/outrigger.yaml" {
		t.Errorf("found settings at %s, README.md puts them into /etc/outrigger/outrigger.yaml", path)
	}
	text := deployFile(t, "systemd/outrigger.yaml")
	if !strings.Contains(text, "address: "+address+"\n") || !strings.Contains(text, "owner: "+plugins.one(t, "Service.User")+",") {
		t.Errorf("the settings name neither %s nor the user of its unit:\n%s", address, text)
	}
	checkAttached(t, "python", text, deployFile(t, "systemd/gateway.yaml"), address, "owner: "+plugins.one(t, "Service.User")+",")
}

// systemd itself reads the units, where it is there. The programs are put in place of those that are not installed.
func TestDeploySystemdVerify(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("this machine has no systemd-analyze")
	}
	dir := t.TempDir()
	start := regexp.MustCompile(`(?m)^ExecStart=\S+`)
	args := []string{"verify", "--man=no"}
	for _, name := range []string{"outrigger.service", "outrigger.socket", "outrigger-plugins.service"} {
		path := filepath.Join(dir, name)
		write(t, path, start.ReplaceAllString(deployFile(t, "systemd/"+name), "ExecStart=/bin/true"))
		args = append(args, path)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(environment(dir), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "outrigger") {
			t.Errorf("systemd-analyze: %s", strings.TrimSpace(line))
		}
	}
}

// checkAttached runs outrigger check on settings whose plugin server listens somewhere in the test's directory. The users of another machine
// are replaced by this one.
func checkAttached(t *testing.T, lang, text, entities, address string, owner ...string) {
	t.Helper()
	dir, err := os.MkdirTemp(built.temp, "d")
	if err != nil {
		t.Fatal(err)
	}
	own := "unix://" + filepath.Join(dir, "plugins.sock")
	attach(t, lang, own)
	eventually(t, startPatience, "the plugin server to listen", func() (bool, string) {
		_, err := os.Stat(filepath.Join(dir, "plugins.sock"))
		return err == nil, "no socket"
	})
	path := filepath.Join(dir, "gateway.yaml")
	write(t, path, entities)
	text = strings.ReplaceAll(text, address, own)
	text = strings.ReplaceAll(text, "/etc/outrigger/gateway.yaml", path)
	for _, o := range owner {
		text = strings.ReplaceAll(text, o, fmt.Sprintf("owner: %d,", os.Geteuid()))
	}
	settings := filepath.Join(dir, "outrigger.yaml")
	write(t, settings, text)
	eventually(t, startPatience, "outrigger check to accept the settings", func() (bool, string) {
		r := command(t, dir, nil, "check", "--settings", settings)
		return r.code == 0, r.out + r.err
	})
}

func TestDeployKubernetes(t *testing.T) {
	t.Parallel()
	type probe struct {
		HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
	}
	type container struct {
		Name    string
		Restart string `yaml:"restartPolicy"`
		Args    []string
		Ports   []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		Mounts []struct {
			Name string
			Path string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
		Readiness probe `yaml:"readinessProbe"`
		Liveness  probe `yaml:"livenessProbe"`
	}
	type document struct {
		Kind string
		Data map[string]string
		Spec struct {
			Template struct {
				Spec struct {
					Inits      []container `yaml:"initContainers"`
					Containers []container
					Volumes    []struct {
						Name     string
						EmptyDir *struct{ Medium string } `yaml:"emptyDir"`
						Config   *struct{ Name string }   `yaml:"configMap"`
					}
				}
			}
		}
	}
	docs := map[string]document{}
	d := yaml.NewDecoder(bytes.NewBufferString(deployFile(t, "kubernetes/outrigger.yaml")))
	for {
		var doc document
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		docs[doc.Kind] = doc
	}
	pod := docs["Deployment"].Spec.Template.Spec
	if len(pod.Inits) != 1 || len(pod.Containers) != 1 || pod.Inits[0].Restart != "Always" {
		t.Fatalf("found %+v, expected a sidecar and the gateway", pod)
	}
	sidecar, gateway := pod.Inits[0], pod.Containers[0]
	known := helps(t)
	knows(t, known, append([]string{"plugins"}, sidecar.Args...))
	knows(t, known, append([]string{"outrigger"}, gateway.Args...))

	address := after(t, sidecar.Args, "--listen")
	text := docs["ConfigMap"].Data["outrigger.yaml"]
	if !strings.Contains(text, "address: "+address+"\n") {
		t.Errorf("the settings do not name %s:\n%s", address, text)
	}
	mount := func(c container, path string) string {
		for _, m := range c.Mounts {
			if m.Path == path {
				return m.Name
			}
		}
		t.Fatalf("container %s mounts nothing at %s", c.Name, path)
		return ""
	}
	dir := filepath.Dir(strings.TrimPrefix(address, "unix://"))
	shared, files := mount(sidecar, dir), mount(gateway, filepath.Dir(after(t, gateway.Args, "--settings")))
	if mount(gateway, dir) != shared {
		t.Error("the containers do not share the directory of the socket")
	}
	for _, v := range pod.Volumes {
		if v.Name == shared && v.EmptyDir == nil || v.Name == files && (v.Config == nil || v.Config.Name != "outrigger") {
			t.Errorf("volume %+v", v)
		}
	}
	ports := map[string]int{}
	for _, p := range gateway.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if ports["status"] != 8100 || !strings.Contains(text, "status_listen: 0.0.0.0:8100\n") || ports["proxy"] != 8000 || !strings.Contains(text, "proxy_listen: 0.0.0.0:8000\n") {
		t.Errorf("found the ports %v with the settings\n%s", ports, text)
	}
	if g := gateway.Readiness.HTTPGet; g.Path != "/status/ready" || g.Port != "status" {
		t.Errorf("readiness %+v", g)
	}
	if g := gateway.Liveness.HTTPGet; g.Path != "/status" || g.Port != "status" {
		t.Errorf("liveness %+v", g)
	}
	checkAttached(t, "go", text, docs["ConfigMap"].Data["gateway.yaml"], address)
}

// What the images copy is in the repository, what they start has these flags, and the manifest names their targets.
func TestDeployContainers(t *testing.T) {
	t.Parallel()
	known := helps(t)
	text := regexp.MustCompile(`\\\n\s*`).ReplaceAllString(deployFile(t, "container/Containerfile"), "")
	context := deployFile(t, "container/Containerfile.dockerignore")
	targets := map[string]bool{}
	var stage, user string
	var entry, copied []string
	words := regexp.MustCompile(`"([^"]*)"`)
	list := func(s string) (all []string) {
		for _, m := range words.FindAllStringSubmatch(s, -1) {
			all = append(all, m[1])
		}
		return all
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "FROM":
			stage, entry, user = f[3], nil, ""
			targets[stage] = true
			if _, version, _ := strings.Cut(f[1], ":"); f[1] != "scratch" && !targets[f[1]] && !regexp.MustCompile(`^\d+(\.\d+)?-.*bookworm`).MatchString(version) {
				t.Errorf("%s: found the base %s, expected one with a version", stage, f[1])
			}
		case "COPY":
			if from, ok := strings.CutPrefix(f[1], "--from="); ok {
				if !targets[from] {
					t.Errorf("%s copies from the stage %s, which does not come before it", stage, from)
				}
				continue
			}
			for _, path := range f[1 : len(f)-1] {
				if stage == "build-go" {
					copied = append(copied, path)
				}
				if top, _, _ := strings.Cut(path, "/"); path != "." && !strings.Contains(context, "\n!"+top+"\n") {
					t.Errorf("%s: %s is not in the context: see Containerfile.dockerignore", stage, path)
				}
				if _, err := os.Stat(filepath.Join(built.repo, path)); err != nil {
					t.Errorf("%s: %v", stage, err)
				}
			}
		case "USER":
			user = f[1]
		case "ENTRYPOINT":
			if entry = list(line); !strings.HasPrefix(f[1], "[") || user != "10001:10001" { // a shell would not pass signals on
				t.Errorf("%s: found %s as user %q, expected a list of words and the user 10001:10001", stage, strings.TrimSpace(line), user)
			}
		case "ENV", "ARG":
			if regexp.MustCompile(`(?i)secret|token|password|key`).MatchString(line) {
				t.Errorf("%s: found %s, expected no secrets", stage, strings.TrimSpace(line))
			}
		case "CMD":
			knows(t, known, append(entry, list(line)...))
		}
	}
	// What go build reads is there.
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.Dir}}{{end}}{{end}}", "./host/cmd/outrigger", "./examples/go")
	cmd.Dir = built.repo
	needed, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dir := range strings.FieldsSeq(string(needed)) {
		rel, err := filepath.Rel(built.repo, dir)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(copied, func(path string) bool { return rel == path || strings.HasPrefix(rel, path+"/") }) {
			t.Errorf("go build needs %s, which the stage build-go does not copy", rel)
		}
	}
	for _, name := range []string{"gateway", "plugins-go", "plugins-python", "plugins-js"} {
		if !targets[name] || !strings.Contains(text, "--target "+name+" ") {
			t.Errorf("no target %s, or nobody says how to build it", name)
		}
	}
	for _, image := range regexp.MustCompile(`image: (\S+)`).FindAllStringSubmatch(deployFile(t, "kubernetes/outrigger.yaml"), -1) {
		if !strings.Contains(text, " -t "+image[1]+" ") {
			t.Errorf("the manifest names the image %s, which nobody builds", image[1])
		}
	}
}
