package replay

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/blackbox"
	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Verdicts.
const (
	Succeeds     = "succeeds"
	SameFailure  = "same_failure"
	OtherFailure = "other_failure"
)

// Report is what happened.
type Report struct {
	Verdict  string           `json:"verdict"` // succeeds, same_failure, other_failure
	Plugin   string           `json:"plugin"`
	Version  string           `json:"version,omitempty"`
	Phase    string           `json:"phase"`
	Server   string           `json:"server"`
	Carrier  string           `json:"carrier"`
	SDK      string           `json:"sdk,omitempty"`
	Time     time.Time        `json:"time"` // of the recording
	Request  string           `json:"request"`
	Recorded blackbox.Failure `json:"recorded"`

	Code       string            `json:"code"` // ok, or how the call failed
	Error      string            `json:"error,omitempty"`
	Detail     string            `json:"detail,omitempty"`
	DurationMS float64           `json:"duration_ms"`
	Asks       []Asked           `json:"asks,omitempty"`
	Outcome    *blackbox.Outcome `json:"outcome,omitempty"`
	Logs       []LogLine         `json:"logs,omitempty"`
	Notes      []string          `json:"notes,omitempty"` // what is unlike the recording, or missing

	recorded *blackbox.Recording
	ops      []wire.Op
}

// Asked is one question of the handler.
type Asked struct {
	Function string           `json:"function"`
	Args     []blackbox.Value `json:"args,omitempty"`
	Answer   string           `json:"answer"`
	Missing  bool             `json:"missing,omitempty"` // the recording has no answer
}

// LogLine is one line of the handler.
type LogLine struct {
	Level   string `json:"level"`
	Message string `json:"message"`
}

func newReport(rec *blackbox.Recording, phase string, server pluginserver.Config) *Report {
	r := &Report{
		Plugin: rec.Plugin.Name, Phase: phase, Server: server.Name, Carrier: server.Carrier, Time: rec.Time, Recorded: rec.Failure,
		Request: rec.Call.Request.Method + " " + string(rec.Call.Request.Target), Code: dispatch.OK.String(), recorded: rec,
	}
	if phase != rec.Call.Phase {
		r.note(fmt.Sprintf("the phase is %s, recorded in %s", phase, rec.Call.Phase))
	}
	return r
}

func (r *Report) note(text string) { r.Notes = append(r.Notes, text) }

func (r *Report) lacks(secrets []string) {
	if len(secrets) > 0 {
		r.note("the recording leaves out these secrets of the configuration, and placeholders stand for them; give them with --config: " + strings.Join(secrets, ", "))
	}
}

func (r *Report) fail(code, message, detail string) {
	r.Code, r.Error, r.Detail = code, message, detail
}

func (r *Report) ask(a *blackbox.Ask, answer string, missing bool) {
	r.Asks = append(r.Asks, Asked{a.Function, a.Args, answer, missing})
}

// server notes who answers, and how that differs from the recording.
func (r *Report) server(s *pluginserver.Server, m entity.Manifest) {
	r.Version = m.Version
	for _, p := range s.Status().Processes {
		if p.SDK != "" {
			r.SDK = p.SDK
		}
	}
	was := r.recorded.Plugin
	if was.Version != "" && was.Version != m.Version {
		r.note(fmt.Sprintf("the plugin has version %s, recorded with %s", m.Version, was.Version))
	}
	if was.SDK != "" && r.SDK != "" && was.SDK != r.SDK {
		r.note(fmt.Sprintf("the SDK is %s, recorded with %s", r.SDK, was.SDK))
	}
}

// judge compares the call with the recording.
func (r *Report) judge(call *wire.Call, mayAuthenticate bool) {
	if r.Code == dispatch.OK.String() {
		if err := accept(call, r.ops, mayAuthenticate); err != nil {
			r.fail(dispatch.Refused.String(), err.Error(), "")
		}
	}
	switch {
	case r.Code == dispatch.OK.String():
		r.Verdict = Succeeds
	case r.Code == r.Recorded.Code && (!saysWhy(r.Code) || alike(r.Recorded.Error, r.Error)):
		r.Verdict = SameFailure
	default:
		r.Verdict = OtherFailure
	}
}

// saysWhy reports whether the message of a failure is the plugin's doing. Those of the others name processes and times.
func saysWhy(code string) bool {
	return code == dispatch.HandlerError.String() || code == dispatch.Refused.String()
}

var (
	marks   = regexp.MustCompile(`<redacted[ +]\d+[ +]bytes>`)
	numbers = regexp.MustCompile(`0x[0-9a-fA-F]+|\d+`)
)

// alike reports whether two messages are the same but for numbers and for what was redacted.
func alike(recorded, now string) bool {
	if recorded == now {
		return true
	}
	parts := marks.Split(recorded, -1)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(numbers.ReplaceAllString(parts[i], "#"))
	}
	same, err := regexp.Compile(`(?s)\A` + strings.Join(parts, ".*") + `\z`)
	return err == nil && same.MatchString(numbers.ReplaceAllString(now, "#"))
}

// Sentence says in one line what has become of the failure.
func (r *Report) Sentence() string {
	switch r.Verdict {
	case Succeeds:
		return "The call succeeds now."
	case SameFailure:
		return "The call fails in the same way: " + r.Code + "."
	}
	if r.Code == r.Recorded.Code {
		return "The call fails in another way: " + r.Code + " with another message."
	}
	return "The call fails in another way: " + r.Code + ", recorded was " + r.Recorded.Code + "."
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		text := strings.ReplaceAll(harmless(fmt.Sprintf(format, args...)), "\n", "\n            ") // what goes on must not look like a line of ours
		fmt.Fprintf(&b, "%-10s  %s\n", name, text)
	}
	line("plugin", "%s %s, phase %s, on plugin server %s (%s, %s)", r.Plugin, r.Version, r.Phase, r.Server, r.SDK, r.Carrier)
	line("request", "%s, recorded %s", r.Request, r.Time.UTC().Format("2006-01-02 15:04:05.000 MST"))
	line("recorded", "%s after %.1f ms: %s (%s)", r.Recorded.Code, r.Recorded.DurationMS, r.Recorded.Error, r.Recorded.Effect)
	if r.Code == dispatch.OK.String() {
		line("replayed", "ok after %.1f ms", r.DurationMS)
	} else {
		line("replayed", "%s after %.1f ms: %s", r.Code, r.DurationMS, r.Error)
	}
	for l := range strings.Lines(r.Detail) {
		line("", "  %s", strings.TrimRight(l, "\n"))
	}
	for _, a := range r.Asks {
		line("asked", "%s = %s", short(&blackbox.Ask{Function: a.Function, Args: a.Args}), a.Answer)
	}
	if r.Outcome != nil {
		for i := range r.Outcome.Operations {
			line("operation", "%s", operation(&r.Outcome.Operations[i]))
		}
		if r.Outcome.Body != nil {
			line("body", "%s", bodyText(r.Outcome.Body))
		}
	}
	for _, l := range r.Logs {
		line("log", "%s: %s", l.Level, l.Message)
	}
	for _, n := range r.Notes {
		line("note", "%s", n)
	}
	fmt.Fprintln(&b, harmless(r.Sentence()))
	_, err := io.WriteString(w, b.String())
	return err
}

// operation is one operation in one line: its function and what it has, as JSON.
func operation(op *blackbox.Operation) string {
	var parts []string
	add := func(v any) { parts = append(parts, clip(text(v))) }
	if op.Name != "" {
		add(op.Name)
	}
	if op.Status != 0 {
		add(op.Status)
	}
	for _, v := range op.Values {
		add(v)
	}
	if op.Body != nil {
		parts = append(parts, bodyText(op.Body))
	}
	if len(op.Headers) > 0 {
		add(op.Headers)
	}
	for _, v := range []*blackbox.Value{op.Value, op.Credential} {
		if v != nil {
			add(v)
		}
	}
	if op.Mode != "" {
		add(op.Mode)
	}
	return op.Function + "(" + strings.Join(parts, ", ") + ")"
}

func bodyText(b *blackbox.Body) string {
	if b.Text == nil {
		return fmt.Sprintf("%d bytes", b.Size)
	}
	return clip(text(*b.Text))
}

// clip keeps what people read short.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
