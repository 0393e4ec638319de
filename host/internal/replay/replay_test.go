package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/blackbox"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func TestAlike(t *testing.T) {
	for _, c := range []struct {
		recorded, now string
		want          bool
	}{
		{"boom", "boom", true},
		{"boom", "boom!", false},
		{"at 0x7f12ab line 3", "at 0xdeadbeef line 14", true},
		{"bad key <redacted 12 bytes> here", "bad key k-e-y here", true},
		{"bad key <redacted 12 bytes> here", "bad key there", false},
		{"a.c", "abc", false},
		{"<redacted 3 bytes>", "line\nline", true},
		{"", "", true},
	} {
		if alike(c.recorded, c.now) != c.want {
			t.Errorf("%q and %q: found %t", c.recorded, c.now, !c.want)
		}
	}
}

func TestConfiguration(t *testing.T) {
	rec := &blackbox.Recording{Config: json.RawMessage(`{"a": {"b": "<redacted 3 bytes>", "c": 1}, "d": [1], "e": "<redacted 9 bytes>"}`), Secrets: []string{"a.b", "d.0.k", "e"}}
	for _, c := range []struct{ over, config, lacking string }{
		{"", `{"a":{"b":"<redacted 3 bytes>","c":1},"d":[1],"e":"<redacted 9 bytes>"}`, "[a.b d.0.k e]"},
		{`{"a": {"b": "x"}}`, `{"a":{"b":"x","c":1},"d":[1],"e":"<redacted 9 bytes>"}`, "[d.0.k e]"},
		{`{"a": {"c": 2}, "d": [{"k": "y"}], "e": null}`, `{"a":{"b":"<redacted 3 bytes>","c":2},"d":[{"k":"y"}],"e":null}`, "[a.b]"},
	} {
		var over []byte
		if c.over != "" {
			over = []byte(c.over)
		}
		config, lacking, err := configuration(rec, over)
		text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(config))
		if err != nil || text != c.config || fmt.Sprint(lacking) != c.lacking {
			t.Errorf("%s: found %s, lacking %v, %v", c.over, text, lacking, err)
		}
	}
	if _, _, err := configuration(rec, []byte("[]")); err == nil || !strings.Contains(err.Error(), "--config: expected a JSON object") {
		t.Error(err)
	}
}

func value(v any) blackbox.Value { return blackbox.Value{V: v} }

func newAnswers(asks ...blackbox.Ask) *answers {
	rec := &blackbox.Recording{}
	return &answers{asks: asks, used: make([]bool, len(asks)), report: newReport(rec, "", pluginserver.Config{})}
}

func ask(t *testing.T, s *answers, fn wire.AskFn, args ...any) string {
	t.Helper()
	a := &wire.Ask{Fn: fn}
	for _, arg := range args {
		raw, err := wire.AppendValue(nil, arg)
		if err != nil {
			t.Fatal(err)
		}
		a.Args = append(a.Args, raw)
	}
	answer := s.Answer(a)
	switch {
	case answer.Err != nil:
		return "error " + answer.Err.Code
	case answer.IsBytes:
		return string(answer.Bytes)
	case answer.Value == nil:
		return "null"
	}
	v, err := wire.DecodeValue(answer.Value)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(v)
}

// Questions get the answers of the recording: by arguments, in order, the last again when there are no more, and never an invented one.
func TestAnswers(t *testing.T) {
	load := func(id string, answer any) blackbox.Ask {
		v := value(answer)
		return blackbox.Ask{Number: uint16(pdk.AskClientLoadConsumer), Args: []blackbox.Value{value(id)}, Value: &v}
	}
	secret := value("x")
	text := "body"
	s := newAnswers(
		load("ada", "first"), load("eve", "other"), load("ada", "second"),
		blackbox.Ask{Number: uint16(pdk.AskClientLoadCredential), Args: []blackbox.Value{value("keyauth_credentials"), value("<redacted 9 bytes>")}, Value: &secret},
		blackbox.Ask{Number: uint16(pdk.AskRequestGetRawBody), Bytes: &blackbox.Body{Size: 4, Text: &text}},
		blackbox.Ask{Number: uint16(pdk.AskNodeGetMemoryStats), Error: &blackbox.Error{Code: "host_error", Message: "no"}},
		blackbox.Ask{Number: uint16(pdk.AskNginxGetVar), Args: []blackbox.Value{value("x")}},
	)
	for i, c := range []struct {
		fn   wire.AskFn
		args []any
		want string
	}{
		{pdk.AskClientLoadConsumer, []any{"ada"}, "first"},
		{pdk.AskClientLoadConsumer, []any{"ada"}, "second"},
		{pdk.AskClientLoadConsumer, []any{"ada"}, "second"},
		{pdk.AskClientLoadConsumer, []any{"eve"}, "other"},
		{pdk.AskClientLoadConsumer, []any{"bob"}, "error host_error"},
		{pdk.AskClientLoadCredential, []any{"keyauth_credentials", "the real one"}, "x"},
		{pdk.AskRequestGetRawBody, nil, "body"},
		{pdk.AskNodeGetMemoryStats, nil, "error host_error"},
		{pdk.AskNginxGetVar, []any{"x"}, "null"},
		{9999, nil, "error host_error"},
	} {
		if got := ask(t, s, c.fn, c.args...); got != c.want {
			t.Errorf("%d: question %d of %v: found %s, expected %s", i, c.fn, c.args, got, c.want)
		}
	}
	missing := 0
	for _, a := range s.report.Asks {
		if a.Missing {
			missing++
		}
	}
	if missing != 2 || len(s.report.Notes) != 2 || !strings.Contains(s.report.Notes[0], `["bob"], which the recording does not have`) {
		t.Errorf("%d missing, notes %q", missing, s.report.Notes)
	}
}

// A body that is left out is answered only with one that the caller gives.
func TestBodies(t *testing.T) {
	left := &blackbox.Body{Size: 3, SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
	for _, c := range []struct {
		bodies []string
		fn     wire.AskFn
		want   string
		notes  int
	}{
		{nil, pdk.AskRequestGetRawBody, "error host_error", 1},
		{[]string{"xyz", "abc"}, pdk.AskRequestGetRawBody, "abc", 0},
		{[]string{"xyz"}, pdk.AskRequestGetRawBody, "xyz", 1},
		{[]string{"xyz"}, pdk.AskResponseGetRawBody, "error host_error", 1},
	} {
		s := newAnswers(blackbox.Ask{Number: uint16(c.fn), Bytes: left})
		for _, b := range c.bodies {
			s.bodies = append(s.bodies, []byte(b))
		}
		if got := ask(t, s, c.fn); got != c.want || len(s.report.Notes) != c.notes {
			t.Errorf("%v for %d: found %s, notes %q", c.bodies, c.fn, got, s.report.Notes)
		}
	}
}

// Operations that the gateway would not take are a failure like any other.
func TestJudge(t *testing.T) {
	set := wire.Op{Code: wire.OpServiceRequestSetHeader, Name: "X-A", Values: []string{"1"}}
	bad := wire.Op{Code: wire.OpServiceRequestSetHeader, Name: "bad name", Values: []string{"1"}}
	for _, c := range []struct {
		recorded, message string
		ops               []wire.Op
		code, error       string
		want              string
	}{
		{"handler_error", "boom", nil, "ok", "", Succeeds},
		{"handler_error", "boom", []wire.Op{set}, "ok", "", Succeeds},
		{"handler_error", "boom", []wire.Op{bad}, "ok", "", OtherFailure},
		{"handler_error", "boom", nil, "handler_error", "boom", SameFailure},
		{"handler_error", "boom", nil, "handler_error", "other", OtherFailure},
		{"timeout", "after 1 s", nil, "timeout", "late", SameFailure},
		{"timeout", "after 1 s", nil, "closed", "gone", OtherFailure},
	} {
		r := newReport(&blackbox.Recording{Failure: blackbox.Failure{Code: c.recorded, Error: c.message}}, "access", pluginserver.Config{})
		r.fail(c.code, c.error, "")
		r.ops = c.ops
		call := &wire.Call{Phase: pdk.PhaseAccess.Code(), Facts: &wire.Facts{}}
		if r.judge(call, true); r.Verdict != c.want {
			t.Errorf("%+v: found %s, %s: %s", c, r.Verdict, r.Code, r.Error)
		}
		if c.want == OtherFailure != strings.Contains(r.Sentence(), "in another way") {
			t.Errorf("%+v: %s", c, r.Sentence())
		}
	}
}

func TestOutput(t *testing.T) {
	var b strings.Builder
	log := NewLog(&b).With("server", "replay")
	log.Log(t.Context(), 2, "a line", "pid", 7, "stream", "stderr")
	log.Log(t.Context(), 2, "isolation")
	log.Info("ready")
	log.Warn("plugin server is down", "error", errors.New("exit code 3"))
	if got := b.String(); got != "stderr: a line\nplugin server is down: exit code 3\n" {
		t.Errorf("%q", got)
	}
}

// What a client or a plugin has written does nothing to the terminal, and looks like no line of the report.
func TestReportsAreHarmless(t *testing.T) {
	rec := &blackbox.Recording{Failure: blackbox.Failure{Code: "handler_error", Error: "a\x1b[2J\u009b\u202eb\x7f\r\nThe call succeeds now."}}
	rec.Call.Request.Target = "/\x1b]0;x\a"
	r := newReport(rec, "", pluginserver.Config{})
	r.Logs = []LogLine{{"info", "\x1b[1A"}}
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u009b\u202e\x7f\r\a") || !strings.Contains(b.String(), `a\u001b[2J`) {
		t.Errorf("found %q", b.String())
	}
	if strings.Contains(b.String(), "\nThe call succeeds now.") {
		t.Errorf("a message looks like the verdict: %s", b.String())
	}
	b.Reset()
	NewLog(&b).Warn("a\x1bc", "stream", "stdout")
	if b.String() != "stdout: a\\u001bc\n" {
		t.Errorf("found %q", b.String())
	}
}
