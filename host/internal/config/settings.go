package config

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// Settings are the static settings of a host: what a reload does not change. LoadSettings fills every field.
type Settings struct {
	ProxyListen []string // host:port
	// ProxyProtocolListen are those of ProxyListen on which connections begin with a PROXY header.
	ProxyProtocolListen []string
	EchoListen          string // host:port of the embedded echo upstream; "": off
	AdminListen         string // host:port or unix:///path of the Admin listener; "": off
	StatusListen        string // the same of the read-only status listener
	DeclarativeConfig   string // path of the entities; "": none
	StateDir            string // directory of the configurations that were live; "": none are kept
	StartWithLastGood   bool   // with the newest of them, when that of DeclarativeConfig is refused
	VaultOnFailure      string // one of the OnFailure constants of package entity
	LogLevel            string // debug, info, notice, warn, error, crit, alert, emerg
	LogFormat           string // text, json
	AccessLog           AccessLog

	TracingEndpoint     string  // URL of an OTLP/HTTP collector; "": no tracing
	TracingSamplingRate float64 // 0 to 1
	ServerTiming        string  // off, debug, on

	TrustedIPs      []netip.Prefix
	RealIPHeader    string
	RealIPRecursive bool
	IdentityHeaders string // drop, trusted, keep

	Headers           HeaderTokens
	UpstreamRequestID bool // X-Kong-Request-Id toward the upstream
	AllowDebugHeader  bool
	PluginDebugHeader string // name of the header; "": none
	ErrorDefaultType  string // media type
	ErrorTemplates    ErrorTemplates
	RouterFlavor      string // traditional_compatible, traditional, expressions
	RouterTieBreak    string // created_at, kong
	StrictProtocols   bool

	PluginOrderingAlgorithm string // legacy, priority_preserving
	OrderingMode            string // pull, push; of legacy
	StrictOrdering          bool
	LatePlugins             string // "", run, skip, error
	PluginProtocols         string // "", enforce

	ClientMaxBodySize   int64 // bytes; 0: no limit
	ClientHeaderTimeout time.Duration
	ClientBodyTimeout   time.Duration
	SendTimeout         time.Duration
	ClientMinRate       int // bytes per second of a request body; 0: any
	SendMinRate         int // likewise, of what a client takes of a response
	MaxConnections      int // of clients; 0: half of the files that the process may open
	KeepaliveTimeout    time.Duration
	IgnoreClientAbort   bool  // serve requests of clients that have gone
	MaxHeaderSize       int   // bytes of the head of a request
	MaxURISize          int   // bytes of its target
	MaxHeaderLine       int   // bytes of one of its lines, and of a trailer section
	MaxHeaders          int   // its header lines
	MaxBody             int   // bytes of a body that is kept in memory for plugins
	MaxBodiesInMemory   int64 // bytes of all bodies
	MaxShared           int   // bytes of ctx.shared of one request
	LogQueueSize        int   // requests that wait for their log phase
	PluginCacheSize     int64 // bytes of what plugins keep in the cache namespace
	TelemetryLogs       bool  // telemetry.log goes to the log

	UpstreamKeepalivePoolSize    int // idle connections per target; 0: none are kept
	UpstreamKeepaliveMaxRequests int // per connection; 0: no limit
	UpstreamKeepaliveIdleTimeout time.Duration
	UpstreamMaxHeaderSize        int // bytes of the head of a response
	DNS                          DNS

	DrainDelay     time.Duration
	DrainTimeout   time.Duration
	UpgradeTimeout time.Duration
	WorkerThreads  int    // 0: one per processor
	NodeID         string // "": made at start
	ClusterID      string // "": none
	RunDir         string // "": the system's directory for such things

	BlackBox       string   // directory of the recordings of failing calls; "": off
	BlackBoxSize   int64    // bytes of all recordings
	BlackBoxBodies bool     // bodies are recorded
	BlackBoxRedact []string // names of headers, parameters and keys whose values are secrets too; may hold "*"

	PluginServers []PluginServer
}

// HeaderTokens says which headers the gateway adds to responses.
type HeaderTokens struct {
	Via             bool // on responses of upstreams
	Server          bool // on the gateway's own answers
	ProxyLatency    bool // X-Kong-Proxy-Latency
	UpstreamLatency bool // X-Kong-Upstream-Latency
	ResponseLatency bool // X-Kong-Response-Latency
	AdminLatency    bool // X-Kong-Admin-Latency, on answers of the Admin listener
	RequestID       bool // X-Kong-Request-Id
	UpstreamStatus  bool // X-Kong-Upstream-Status
}

// logLevels are Kong's names, in the order of their numbers on the wire.
var logLevels = []string{"debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"}

// LogLevelNumber is the number of a level: 0 debug to 7 emerg; false when there is none of that name.
func LogLevelNumber(name string) (uint8, bool) {
	i := slices.Index(logLevels, name)
	return uint8(max(0, i)), i >= 0
}

// LogLevelName is the name of a level.
func LogLevelName(number uint8) string { return logLevels[min(int(number), len(logLevels)-1)] }

// LogLevelNumber is the level as a number: 0 debug to 7 emerg.
func (s *Settings) LogLevelNumber() uint8 { return uint8(max(0, slices.Index(logLevels, s.LogLevel))) }

// Setting documents one setting.
type Setting struct {
	Name    string // key in outrigger.yaml
	Env     string // environment variable; "" for a field of an item
	Flag    string // command-line flag without dashes; "" for a field of an item
	Type    string
	Default string // as it would be written
	Doc     string
	Fields  []Setting // of each item of a list of mappings
}

// SettingDocs lists every setting, in the order in which a reader wants them.
func SettingDocs() []Setting {
	table := settingTable()
	docs := make([]Setting, len(table))
	for i, s := range table {
		docs[i] = s.Setting
	}
	return docs
}

// setting is a row of the table: its documentation, and how to read it into Settings.
type setting struct {
	Setting
	read func(r *settingReader, v *node, at *path)
}

// settingReader reads values from one source into s.
type settingReader struct {
	reader
	s   *Settings
	dir string // what relative paths of the source start from; "": the working directory
}

const envPrefix = "OUTRIGGER_"

// otherVariables begin like settings and are something else: what plugin servers get, and the path of the settings themselves.
var otherVariables = []string{
	"OUTRIGGER_PLUGIN", "OUTRIGGER_LIFELINE_FD", "OUTRIGGER_SERVER", "OUTRIGGER_SETTINGS", "OUTRIGGER_VERSION",
}

// LoadSettings reads the settings. A flag wins over an environment variable, which wins over the file, which wins over the default.
//
//   - path: the settings file; "" for none.
//   - env: the environment as os.Environ gives it.
//   - flags: values by name of the flag (listen) or of the setting (proxy_listen).
//
// An empty value of a variable or flag counts as not given. Relative paths in the file start from the file's directory. The error
// is of type Errors.
func LoadSettings(path string, env []string, flags map[string]string) (*Settings, error) {
	var data []byte
	if path != "" {
		var e *Error
		if data, e = readFile(path); e != nil {
			return nil, Errors{e}
		}
	}
	return parseSettings(path, data, env, flags)
}

func parseSettings(path string, data []byte, env []string, flags map[string]string) (*Settings, error) {
	table := settingTable()
	s := &Settings{}
	var errs Errors
	for _, row := range table {
		r := &settingReader{reader: reader{file: "default of " + row.Name}, s: s}
		if row.Default != "" {
			row.read(r, &node{kind: kindText, text: row.Default}, nil)
		}
		errs = append(errs, r.errs...)
	}
	if path != "" {
		errs = append(errs, readSettingsFile(s, table, path, data)...)
	}
	errs = append(errs, readEnvironment(s, table, env)...)
	errs = append(errs, readFlags(s, table, flags)...)
	if err := errs.result(); err != nil {
		return nil, err
	}
	return s, nil
}

func readSettingsFile(s *Settings, table []setting, path string, data []byte) Errors {
	root, e := parseDocument(path, data)
	if e != nil {
		return Errors{e}
	}
	if root.kind == kindNull {
		return nil
	}
	r := &settingReader{reader: reader{file: path}, s: s}
	if dir := filepath.Dir(path); dir != "." {
		r.dir = dir
	}
	o := r.object(root, nil, "the settings")
	if o == nil {
		return r.errs
	}
	for _, row := range table {
		if v := o.has(row.Name); v != nil {
			row.read(r, v, o.at.key(row.Name))
		}
	}
	if v := o.n.get("_format_version"); v != nil {
		r.fail(nil, v, Error{
			Code: CodeUnknownKey, Found: "a declarative configuration", Expected: "the settings",
			Fix: "give this file to --config, or to declarative_config",
		})
		return r.errs
	}
	o.done()
	return r.errs
}

// readEnvironment reads OUTRIGGER_… variables. A variable that is no setting is an error only when it looks like one that is
// misspelt: orchestrators put variables of their own under the name of a service.
func readEnvironment(s *Settings, table []setting, env []string) Errors {
	var errs Errors
	names := make([]string, len(table))
	for i, row := range table {
		names[i] = row.Env
	}
	given := map[string]string{}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(otherVariables, name) {
			continue
		}
		if slices.Contains(names, name) {
			given[name] = value
			continue
		}
		near := nearest.Name(strings.TrimPrefix(name, envPrefix), trimAll(names, envPrefix))
		if near != "" && nearest.Changes(strings.TrimPrefix(name, envPrefix), near) <= 2 {
			errs = append(errs, &Error{
				File: name, Code: CodeUnknownKey, Found: "an unknown variable", Expected: "the name of a setting", Nearest: envPrefix + near,
			})
		}
	}
	for _, row := range table {
		if value := given[row.Env]; value != "" {
			errs = append(errs, readText(s, row, row.Env, value)...)
		}
	}
	return errs
}

func trimAll(list []string, prefix string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.TrimPrefix(s, prefix)
	}
	return out
}

func readFlags(s *Settings, table []setting, flags map[string]string) Errors {
	var errs Errors
	var names []string
	used := map[string]bool{}
	for _, row := range table {
		names = append(names, row.Flag)
		for _, name := range []string{row.Flag, row.Name} {
			if value := flags[name]; value != "" && !used[name] {
				errs = append(errs, readText(s, row, "--"+row.Flag, value)...)
			}
			used[name] = true
		}
	}
	for name := range flags {
		if !used[name] {
			errs = append(errs, &Error{
				File: "--" + name, Code: CodeUnknownKey, Found: "an unknown flag", Expected: "the name of a setting", Nearest: nearest.Name(name, names),
			})
		}
	}
	return errs
}

// readText reads a setting from the text of a variable or flag. Mappings are written as YAML or JSON.
func readText(s *Settings, row setting, source, value string) Errors {
	r := &settingReader{reader: reader{file: source}, s: s}
	if row.Fields == nil {
		if e := checkText([]byte(value)); e != nil {
			return Errors{{File: source, Code: CodeSyntax, Found: e.Found, Expected: e.Expected}}
		}
		row.read(r, &node{kind: kindText, text: value}, nil)
		return r.errs
	}
	root, e := parseDocument(source, []byte(value))
	if e != nil {
		return Errors{e}
	}
	row.read(r, root, (*path)(nil).key(row.Name))
	return r.errs
}
