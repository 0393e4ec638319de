package dispatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// witness writes down what it is told.
type witness struct {
	name   string
	told   *[]string
	refuse error
}

func (w *witness) Before(c *Call) error {
	*w.told = append(*w.told, fmt.Sprintf("%s before %s", w.name, c.Phase))
	return w.refuse
}

func (w *witness) Asked(c *Call, a *wire.Ask, answer *wire.Answer) {
	*w.told = append(*w.told, fmt.Sprintf("%s asked %d: %s", w.name, c.Asks, answer.Bytes))
}

func (w *witness) After(c *Call) {
	line := fmt.Sprintf("%s after %s open=%v sent=%v", w.name, c.Code, c.FailedOpen, c.Sent)
	if c.Duration <= 0 {
		line += " without a time"
	}
	*w.told = append(*w.told, line)
}

// A call that has to do without its body is not sent, but those that watch are told of it, and no place is taken.
func TestACallWithoutItsBodyIsSeen(t *testing.T) {
	for code, err := range map[Code]error{
		Overloaded: &wire.Error{Code: exchange.CodeNoMemory, Message: "no memory"},
		TooLarge:   &wire.Error{Code: wire.CodeBadData, Message: "too long"},
		Cancelled:  &wire.Error{Code: wire.CodeHostError, Message: "gone"},
	} {
		b := newBench(t)
		b.live.err = err
		var told []string
		b.Interceptors = []Interceptor{&witness{name: "a", told: &told}, Budgets{}, &witness{name: "b", told: &told}}
		in := instance("x", remote(func(*wire.Call, wire.Asker, *wire.Outcome) error {
			t.Errorf("%s: the call was sent", code)
			return nil
		}), failOpen, under(budget.Limits{MaxInFlight: 1}))
		in.Needs = pdk.NeedRequestBody
		ex := b.exchange(in)
		b.RunAccess(ex)
		if want := []string{"a before access", fmt.Sprintf("a after %s open=true sent=false", code)}; !slices.Equal(told, want) || ex.Answer.Given {
			t.Errorf("told %q, want %q; answer %+v", told, want, ex.Answer)
		}
		if u := in.Budgets[0].Limiter.Usage(); u != (budget.Usage{}) {
			t.Errorf("%s: %+v", code, u)
		}
	}
}

func TestInterceptorsStandAroundEveryRemoteCall(t *testing.T) {
	asks := remote(func(_ *wire.Call, asker wire.Asker, _ *wire.Outcome) error {
		asker.Answer(&wire.Ask{Fn: pdk.AskRequestGetRawBody})
		return nil
	})
	for name, run := range map[string]struct {
		in   *plan.Instance
		want []string
	}{
		"success": {instance("x", asks), []string{
			"a before access", "b before access", "a asked 1: body", "b asked 1: body", "b after ok open=false sent=true", "a after ok open=false sent=true",
		}},
		"failed open": {
			instance("x", remote(func(*wire.Call, wire.Asker, *wire.Outcome) error {
				return &transport.Error{Kind: transport.Timeout, Msg: "late"}
			}), failOpen),
			[]string{"a before access", "b before access", "b after timeout open=true sent=true", "a after timeout open=true sent=true"},
		},
		"operations refused": {
			instance("x", remote(func(_ *wire.Call, _ wire.Asker, out *wire.Outcome) error {
				out.Ops = []wire.Op{{Code: 60000}}
				return nil
			})),
			[]string{"a before access", "b before access", "b after refused open=false sent=true", "a after refused open=false sent=true"},
		},
		"native": {instance("x", nil, native(&pdk.Handlers{Access: func(*pdk.PDK) error { return nil }})), nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var told []string
			b.Interceptors = []Interceptor{&witness{name: "a", told: &told}, &witness{name: "b", told: &told}}
			b.RunAccess(b.exchange(run.in))
			if !slices.Equal(told, run.want) {
				t.Errorf("told %q,\nwant %q", told, run.want)
			}
		})
	}
}

func TestInterceptorsAreToldOfEveryPhase(t *testing.T) {
	b := newBench(t)
	var told []string
	b.Interceptors = []Interceptor{&witness{name: "a", told: &told}}
	ex := b.exchange(instance("x", remote(func(*wire.Call, wire.Asker, *wire.Outcome) error { return nil })))
	b.Run(ex, ex.Chain(pdk.PhaseRewrite), pdk.PhaseRewrite)
	b.RunAccess(ex)
	b.Run(ex, ex.Chain(pdk.PhaseHeaderFilter), pdk.PhaseHeaderFilter)
	if _, err := b.FilterBody(ex, ex.Chain(pdk.PhaseBodyFilter), []byte("x"), true); err != nil {
		t.Fatal(err)
	}
	b.RunLog(ex, ex.Chain(pdk.PhaseLog))
	var want []string
	for _, phase := range []string{"rewrite", "access", "header_filter", "body_filter", "log"} {
		want = append(want, "a before "+phase, "a after ok open=false sent=true")
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q,\nwant %q", told, want)
	}
}

func TestARefusedCallIsNotSent(t *testing.T) {
	for _, c := range []struct {
		code   Code
		status int // of the instance
		open   bool
		want   int // 0: no answer
		retry  string
	}{
		{Overloaded, 0, false, 503, "2"},
		{BreakerOpen, 0, false, 503, "2"},
		{Quarantined, 0, false, 500, ""},
		{Overloaded, 429, false, 429, ""},
		{Overloaded, 503, false, 503, "2"},
		{Overloaded, 0, true, 0, ""},
	} {
		t.Run(fmt.Sprintf("%s status %d open %v", c.code, c.status, c.open), func(t *testing.T) {
			b := newBench(t)
			var told []string
			refusal := &Refusal{Code: c.code, Msg: "no", RetryAfter: 1500 * time.Millisecond}
			b.Interceptors = []Interceptor{&witness{name: "a", told: &told}, &witness{name: "b", told: &told, refuse: refusal}, &witness{name: "c", told: &told}}
			in := instance("x", remote(func(*wire.Call, wire.Asker, *wire.Outcome) error {
				t.Error("the call was sent")
				return nil
			}))
			in.FailStatus, in.FailOpen = c.status, c.open
			ex := b.exchange(in)
			b.RunAccess(ex)
			want := []string{"a before access", "b before access", fmt.Sprintf("a after %s open=%v sent=false", c.code, c.open)}
			if !slices.Equal(told, want) {
				t.Errorf("told %q,\nwant %q", told, want)
			}
			retry := ""
			for _, h := range ex.Answer.Headers {
				if h.Name == "Retry-After" {
					retry = h.Value
				}
			}
			if ex.Answer.Status != c.want || ex.Answer.Given != (c.want != 0) || retry != c.retry {
				t.Errorf("answer %d, Retry-After %q; want %d, %q", ex.Answer.Status, retry, c.want, c.retry)
			}
		})
	}
}

type notReady struct{}

func (notReady) Error() string        { return "not ready" }
func (notReady) Is(target error) bool { return target == transport.ErrNotReady }

func TestCodes(t *testing.T) {
	for want, err := range map[Code]error{
		OK: nil, HandlerError: &wire.Error{Code: wire.CodeHandlerError}, Timeout: &transport.Error{Kind: transport.Timeout},
		Closed: &transport.Error{Kind: transport.Closed}, Overloaded: &transport.Error{Kind: transport.Overloaded},
		BadFrame: &transport.Error{Kind: transport.BadFrame}, Cancelled: &wire.Error{Code: wire.CodeCancelled},
		TooLarge: fmt.Errorf("sending: %w", &transport.Error{Kind: transport.TooLarge}), NotReady: notReady{},
		BreakerOpen: &Refusal{Code: BreakerOpen}, Quarantined: &Refusal{Code: Quarantined}, Refused: refused{errors.New("no")},
	} {
		if got := CodeOf(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
	for c := range CodeCount {
		if Code(c).String() == "" {
			t.Errorf("code %d has no name", c)
		}
	}
}

// Watchers see the calls of native instances, and only these.
func TestWatchers(t *testing.T) {
	b := newBench(t)
	var told []string
	b.Watchers = []Interceptor{&witness{name: "a", told: &told}, &witness{name: "b", told: &told}}
	b.RunAccess(b.exchange(
		instance("x", nil, native(&pdk.Handlers{Access: func(*pdk.PDK) error { return nil }})),
		instance("y", remote(func(*wire.Call, wire.Asker, *wire.Outcome) error { return nil })),
		instance("z", nil, failOpen, native(&pdk.Handlers{Access: func(*pdk.PDK) error { return errors.New("no") }})),
	))
	want := []string{
		"a before access", "b before access", "b after ok open=false sent=false", "a after ok open=false sent=false",
		"a before access", "b before access", "b after handler_error open=true sent=false", "a after handler_error open=true sent=false",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q,\nwant %q", told, want)
	}
}

// The line about a failed call names everything by which somebody may look for it.
func TestTheLineOfAFailedCall(t *testing.T) {
	b := newBench(t)
	b.Logger = slog.New(slog.NewJSONHandler(b.logs, nil))
	in := instance("x", remote(func(*wire.Call, wire.Asker, *wire.Outcome) error {
		return &transport.Error{Kind: transport.Timeout, Msg: "late"}
	}))
	in.Server, in.Record.InstanceName = "py", "second"
	ex := b.exchange(in)
	b.RunAccess(ex)
	var line map[string]any
	if err := json.Unmarshal(b.logs.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if took, ok := line["duration_ms"].(float64); !ok || took <= 0 {
		t.Errorf("duration_ms is %v", line["duration_ms"])
	}
	for key, want := range map[string]any{
		"msg": "plugin failed", "level": "ERROR", "server": "py", "plugin": "x", "record": "x", "instance_name": "second", "instance": float64(in.ID), "phase": "access",
		"request_id": "0123456789abcdef0123456789abcdef", "code": "timeout", "error": "late", "effect": "fail mode closed",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, expected %v", key, line[key], want)
		}
	}
}

// A plugin of the gateway's own is native in the line, also one that cannot run because its secret is missing.
func TestTheLineOfAnUnavailablePlugin(t *testing.T) {
	b := newBench(t)
	b.Logger = slog.New(slog.NewJSONHandler(b.logs, nil))
	in := instance("x", nil)
	in.Unavailable = "no secret"
	b.RunAccess(b.exchange(in))
	if !strings.Contains(b.logs.String(), `"server":"native","plugin":"x"`) {
		t.Errorf("found %s, expected the server native", b.logs)
	}
}
