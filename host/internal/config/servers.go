package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// PluginServer is a process that hosts plugins: managed when it has a command, attached when it has an address.
type PluginServer struct {
	Name      string
	Command   []string // program and arguments; a relative program path starts from WorkingDir
	Addresses []string // unix:///path or tcp://host:port, one for each process
	Carrier   string   // msgpack, grpc
	Processes int
	entity.CallPolicy
	Plugins map[string]PluginPolicy // by name: what is said about single plugins

	Env          map[string]string
	User         string // name or number; "": the host's
	StartTimeout time.Duration
	WorkingDir   string // "": the host's

	Limits
	Isolation Isolation

	Attachment

	Supervision

	// For outrigger dev: what makes the server from its sources, run in WorkingDir, and files and directories of the sources.
	Build, Watch []string

	Fuse     bool // calls of neighbouring steps travel together
	Prefetch bool // answers travel ahead of their questions

	Canary *Canary // how a new build begins; nil: with all requests at once

	Pos entity.Pos
}

var phaseNames = []string{"rewrite", "access", "response", "header_filter", "body_filter", "log"}

// serverField is a row of the table of a plugin server's fields.
type serverField struct {
	Setting
	read func(r *settingReader, s *PluginServer, v *node, at *path)
}

func field(name, kind, absent, doc string, read func(r *settingReader, s *PluginServer, v *node, at *path)) serverField {
	return serverField{Setting: Setting{Name: name, Type: kind, Default: absent, Doc: doc}, read: read}
}

func serverText(name, kind, absent, doc string, to func(*PluginServer) *string, rules ...rule) serverField {
	return field(name, kind, absent, doc, func(r *settingReader, s *PluginServer, v *node, at *path) {
		*to(s) = r.textOf(v, at, "", rules...)
	})
}

func serverFile(name, doc string, to func(*PluginServer) *string) serverField {
	return field(name, "path", "", doc, func(r *settingReader, s *PluginServer, v *node, at *path) {
		*to(s) = r.path(r.textOf(v, at, ""))
	})
}

func serverCount(name, absent, doc string, low, high int, to func(*PluginServer) *int) serverField {
	return field(name, "whole number", absent, doc, func(r *settingReader, s *PluginServer, v *node, at *path) {
		if n, ok := r.number(v, at, low, high); ok {
			*to(s) = n
		}
	})
}

func serverSwitch(name, absent, doc string, to func(*PluginServer) *bool) serverField {
	return field(name, "true or false", absent, doc, func(r *settingReader, s *PluginServer, v *node, at *path) {
		if b, ok := (&node{kind: v.kind, text: v.text}).boolean(); ok {
			*to(s) = b
			return
		}
		r.fail(at, v, Error{Code: CodeWrongValue, Found: v.describe(), Expected: "true or false"})
	})
}

func serverTime(name, absent, doc string, to func(*PluginServer) *time.Duration) serverField {
	return field(name, "time, a bare number is milliseconds", absent, doc, func(r *settingReader, s *PluginServer, v *node, at *path) {
		if t, ok := r.duration(v, at, time.Millisecond, time.Millisecond); ok {
			*to(s) = t
		}
	})
}

// serverTable is every field of a plugin server.
func serverTable() []serverField {
	return append([]serverField{
		serverText("name", "string", "", "name of the server in messages; unique", func(s *PluginServer) *string { return &s.Name }, entityName),
		field("command", "list or string", "", "program and arguments that the host starts; a string is split at spaces outside quotes",
			readCommand(func(s *PluginServer) *[]string { return &s.Command })),
		field("address", "string or list", "", "instead of command: where a server runs already, unix:///path or tcp://host:port; several: its processes, of which each hosts the same plugins", readAddresses),
		field("socket", "mapping: owner, group (name or number), mode (octal)", "", "what the unix sockets at address have to be like; another one is not used", readSocket),
		serverText("carrier", "one of msgpack, grpc", "msgpack", "what phase calls travel over",
			func(s *PluginServer) *string { return &s.Carrier }, oneOf("msgpack", "grpc")),
		serverCount("processes", "1", "processes to start", 1, 256, func(s *PluginServer) *int { return &s.Processes }),
		serverTime("timeout", "1s", "for one phase call", func(s *PluginServer) *time.Duration { return &s.Timeout }),
		field("timeouts", "mapping of phase to time", "", "for the calls of single phases",
			func(r *settingReader, s *PluginServer, v *node, at *path) { s.Timeouts = r.phaseTimes(v, at) }),
		serverText("fail_mode", "one of closed, open", "closed", "what a request gets when a handler fails: the fail_status, or as if there were no plugin",
			func(s *PluginServer) *string { return &s.FailMode }, oneOf("closed", "open")),
		serverCount("fail_status", "", "status of the answer when a handler fails closed; without it 500, and 503 when there is no room for the call", 400, 599,
			func(s *PluginServer) *int { return &s.FailStatus }),
		serverText("fail_body", "string", "", "body of that answer; without it the error body of the gateway", func(s *PluginServer) *string { return &s.FailBody }, shortBody),
		serverCount("max_in_flight", "4096", "calls at the same time", 1, mostInFlight, func(s *PluginServer) *int { return &s.MaxInFlight }),
		serverCount("queue", "0", "calls beyond max_in_flight that wait for a place, at most until their deadline; more fail at once", 0, mostInFlight,
			func(s *PluginServer) *int { return &s.Queue }),
		serverSwitch("fuse", "true", "send the calls of neighbouring plugins of a chain together, when the server can take them", func(s *PluginServer) *bool { return &s.Fuse }),
		serverSwitch("prefetch", "true", "send answers that handlers asked for lately along with the calls, when the server can take them", func(s *PluginServer) *bool { return &s.Prefetch }),
		field("error_budget", "mapping: ratio (0.5), calls (20), window (10s), open_for (5s), probes (3), handler_errors (true)", "",
			"failures that open the breaker: with at least calls calls in the window, and ratio of them failed, calls are refused for open_for; then probes are tried",
			func(r *settingReader, s *PluginServer, v *node, at *path) { s.ErrorBudget = r.errorBudget(v, at) }),
		field("plugins", "mapping of plugin to mapping", "", "what differs for one plugin of the server: timeout, timeouts, fail_mode, fail_status, fail_body, max_in_flight, queue, error_budget", readPluginPolicies),
		field("env", "mapping, or list of NAME=value", "", "variables added to the environment of the process", readServerEnv),
		field("user", "string", "", "name or number of the user that the process runs as; empty: the host's",
			func(r *settingReader, s *PluginServer, v *node, at *path) { s.User, _ = r.scalar(v, at, "a user") }),
		serverTime("start_timeout", "10s", "from start to ready", func(s *PluginServer) *time.Duration { return &s.StartTimeout }),
		serverFile("working_dir", "working directory of the process; without one: the directory of the settings file",
			func(s *PluginServer) *string { return &s.WorkingDir }),
		field("build", "list or string", "", "command that `outrigger dev` runs in working_dir before it starts the server, and after each change",
			readCommand(func(s *PluginServer) *[]string { return &s.Build })),
		field("watch", "list of paths", "", "files and directories of the sources: `outrigger dev` follows them, and SIGHUP replaces the server when they changed; without it: those that command names, and for dev working_dir if it is set", readWatch),
		canaryField(),
		field("tls", "mapping: cert, key, ca (files), server_name", "", "certificates for an address off this machine; files that change are used for new connections", readServerTLS),
	}, append(isolationFields(), supervisionFields()...)...)
}

// readPluginServers reads the list plugin_servers.
func readPluginServers(r *settingReader, v *node, at *path) {
	if v.kind == kindNull {
		return
	}
	if v.kind != kindList {
		r.wrongType(at, v, "a list of plugin servers")
		return
	}
	first := map[string]*node{}
	r.s.PluginServers = nil
	for i, item := range v.items {
		s, ok := r.pluginServer(item, at.item(i))
		if !ok {
			continue
		}
		if f := first[s.Name]; f != nil && s.Name != "" {
			r.fail(at.item(i).key("name"), item.get("name"), Error{
				Code: CodeNotUnique, Found: "the name " + quote(s.Name) + " again",
				Expected: fmt.Sprintf("a name that no other plugin server has (the first is in line %d)", f.line),
			})
		}
		first[s.Name] = item
		r.s.PluginServers = append(r.s.PluginServers, s)
	}
}

// DefaultPluginServer is a server with nothing but a name and a working directory given.
func DefaultPluginServer(name, dir string) PluginServer {
	s := PluginServer{Name: name, WorkingDir: dir}
	r := &settingReader{reader: reader{file: "defaults of a plugin server"}, s: &Settings{}}
	for _, f := range serverTable() {
		if f.Default != "" {
			f.read(r, &s, &node{kind: kindText, text: f.Default}, nil)
		}
	}
	return s
}

func (r *settingReader) pluginServer(n *node, at *path) (PluginServer, bool) {
	s := PluginServer{Pos: r.pos(n), WorkingDir: r.dir}
	o := r.object(n, at, "a plugin server")
	if o == nil {
		return s, false
	}
	for _, f := range serverTable() {
		if f.Default != "" {
			f.read(r, &s, &node{kind: kindText, text: f.Default}, nil)
		}
		if v := o.has(f.Name); v != nil {
			f.read(r, &s, v, at.key(f.Name))
		}
	}
	command, addr := n.get("command"), n.get("address")
	switch {
	case o.lacks("name"):
		o.missing("name", "the name of the plugin server")
	case command == nil && addr == nil:
		o.missing("command", "either command, to start the server, or address, where it runs already")
	case command != nil && addr != nil:
		o.fail(at.key("address"), addr, Error{Code: CodeConflict, Found: "address beside command", Expected: "one of them"})
	case addr != nil:
		for _, key := range []string{"processes", "crash_loop", "recycle", "env", "user", "working_dir", "limits", "isolation", "build", "watch", "canary"} {
			if v := n.get(key); v != nil {
				o.fail(at.key(key), v, Error{
					Code: CodeConflict, Found: quote(key) + " beside address", Expected: "it only with command: the host does not start this server",
					Fix: "remove it",
				})
			}
		}
		r.checkTLS(o, &s)
	default:
		for _, key := range []string{"tls", "socket"} {
			if v := n.get(key); v != nil {
				o.fail(at.key(key), v, Error{Code: CodeConflict, Found: quote(key) + " beside command", Expected: "it only with address", Fix: "remove it"})
			}
		}
	}
	o.done()
	return s, true
}

// readCommand reads a program and its arguments.
func readCommand(to func(*PluginServer) *[]string) func(r *settingReader, s *PluginServer, v *node, at *path) {
	return func(r *settingReader, s *PluginServer, v *node, at *path) {
		command := to(s)
		if v.kind == kindText {
			words, ok := splitCommand(v.text)
			if !ok || len(words) == 0 {
				r.problem(at, v, &problem{expected: "a command whose quotes are closed", fix: "write it as a list"})
			}
			*command = words
			return
		}
		if v.kind != kindList {
			r.wrongType(at, v, "a list of program and arguments, or a string")
			return
		}
		for i, item := range v.items {
			word, ok := r.scalar(item, at.item(i), "a string")
			if ok && i == 0 && word == "" {
				r.fail(at.item(i), item, Error{Code: CodeWrongValue, Found: "an empty string", Expected: "a program"})
			}
			*command = append(*command, word)
		}
		if len(*command) == 0 {
			r.fail(at, v, Error{Code: CodeWrongValue, Found: "an empty list", Expected: "a program and its arguments"})
		}
	}
}

// readWatch reads a list of paths, or one.
func readWatch(r *settingReader, s *PluginServer, v *node, at *path) {
	items := v.items
	if v.kind == kindText {
		items = []*node{v}
	} else if v.kind != kindList {
		r.wrongType(at, v, "a list of files and directories")
		return
	}
	for i, item := range items {
		word, ok := r.scalar(item, itemAt(at, i), "a path")
		if ok && word == "" {
			r.fail(itemAt(at, i), item, Error{Code: CodeWrongValue, Found: "an empty string", Expected: "a file or directory"})
		}
		s.Watch = append(s.Watch, r.path(word))
	}
}

// splitCommand splits at spaces outside quotes; a backslash keeps the next character. Nothing is expanded.
func splitCommand(s string) (words []string, ok bool) {
	var word strings.Builder
	started := false
	quoteChar := rune(0)
	escaped := false
	for _, c := range s {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quoteChar != '\'':
			escaped, started = true, true
		case quoteChar != 0 && c == quoteChar:
			quoteChar = 0
		case quoteChar != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quoteChar, started = c, true
		case c == ' ' || c == '\t' || c == '\n':
			if started {
				words = append(words, word.String())
				word.Reset()
				started = false
			}
		default:
			word.WriteRune(c)
			started = true
		}
	}
	if started {
		words = append(words, word.String())
	}
	return words, quoteChar == 0 && !escaped
}

// readServerEnv reads variables. Their values may be secret and are not part of error texts.
func readServerEnv(r *settingReader, s *PluginServer, v *node, at *path) {
	s.Env = map[string]string{}
	set := func(name, value string, n *node, at *path) {
		if name == "" || strings.ContainsAny(name, "= \t") || strings.ContainsRune(value, 0) {
			r.fail(at, n, Error{Code: CodeWrongValue, Found: "a variable with the name " + quote(name), Expected: "a name without '=' and spaces"})
			return
		}
		s.Env[name] = value
	}
	switch v.kind {
	case kindMapping:
		for i := range v.pairs {
			p := &v.pairs[i]
			if p.value.kind == kindList || p.value.kind == kindMapping {
				r.fail(at.key(p.key), p.value, Error{Code: CodeWrongType, Found: p.value.kind.String(), Expected: "a string"})
				continue
			}
			set(p.key, p.value.text, p.at, at.key(p.key))
		}
	case kindList:
		for i, item := range v.items {
			name, value, ok := strings.Cut(item.text, "=")
			if !ok || item.kind != kindText {
				r.fail(at.item(i), item, Error{Code: CodeWrongValue, Found: "an item without '='", Expected: "NAME=value"})
				continue
			}
			set(name, value, item, at.item(i))
		}
	default:
		r.fail(at, v, Error{Code: CodeWrongType, Found: v.kind.String(), Expected: "a mapping of names to values, or a list of NAME=value"})
	}
}
