package admin

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// fakeLevels is a log.
type fakeLevels struct {
	level   string
	forTime time.Duration
}

func (f *fakeLevels) LogLevel() LogLevel {
	l := LogLevel{Level: f.level, Setting: "notice"}
	if f.forTime > 0 && f.level != "notice" {
		until := time.Unix(0, 0).Add(f.forTime)
		l.Until = &until
	}
	return l
}

func (f *fakeLevels) SetLogLevel(name string, forTime time.Duration) (LogLevel, bool) {
	if name != "debug" && name != "notice" {
		return LogLevel{}, false
	}
	f.level, f.forTime = name, forTime
	return f.LogLevel(), true
}

func TestLogLevel(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		want               string // a part of the answer
		level              string
		forTime            time.Duration
	}{
		"asked":           {"GET", "", "", 200, `"message": "log level: notice"`, "notice", 0},
		"for a minute":    {"PUT", "/debug", "", 200, `"message": "log level changed to debug"`, "debug", time.Minute},
		"by the query":    {"PUT", "/debug?timeout=2.5", "", 200, "changed to debug", "debug", 2500 * time.Millisecond},
		"by a form":       {"PUT", "/debug", "timeout=7", 200, "changed to debug", "debug", 7 * time.Second},
		"by JSON":         {"PUT", "/debug", `{"timeout": 8}`, 200, "changed to debug", "debug", 8 * time.Second},
		"for good":        {"PUT", "/debug?timeout=0", "", 200, "changed to debug", "debug", 0},
		"as it is":        {"PUT", "/notice", "", 200, "log level is already notice", "notice", time.Minute},
		"no such level":   {"PUT", "/loud", "", 400, `log level: found \"loud\", expected debug, info, notice`, "notice", 0},
		"no such time":    {"PUT", "/debug?timeout=soon", "", 400, `timeout: found \"soon\", expected a number of seconds`, "notice", 0},
		"negative":        {"PUT", "/debug?timeout=-1", "", 400, "timeout: found", "notice", 0},
		"not a number":    {"PUT", "/debug?timeout=NaN", "", 400, "timeout: found", "notice", 0},
		"another field":   {"PUT", "/debug", "time=1", 400, "expected timeout=SECONDS", "notice", 0},
		"JSON of more":    {"PUT", "/debug", `{"timeout": 8, "for": 9}`, 400, "expected timeout=SECONDS", "notice", 0},
		"JSON of another": {"PUT", "/debug", `{"time": 8}`, 400, "expected timeout=SECONDS", "notice", 0},
		"JSON and brace":  {"PUT", "/debug", `{"timeout": 8}}`, 400, "expected timeout=SECONDS", "notice", 0},
		"JSON and text":   {"PUT", "/debug", `{"timeout": 8} {}`, 400, "expected timeout=SECONDS", "notice", 0},
		"half of JSON":    {"PUT", "/debug", `{"timeout": `, 400, "expected timeout=SECONDS", "notice", 0},
		"without a level": {"PUT", "", "", 405, "found method PUT", "notice", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeLevels{level: "notice"}
			client := served(t, &fakeGateway{LogLevels: f}, "127.0.0.1:0")
			req, err := http.NewRequest(c.method, "http://localhost/debug/node/log-level"+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.want) {
				t.Errorf("found %d %s %v, expected %d with %s", resp.StatusCode, body, err, c.status, c.want)
			}
			if f.level != c.level || f.forTime != c.forTime {
				t.Errorf("the level is %s for %v, expected %s for %v", f.level, f.forTime, c.level, c.forTime)
			}
		})
	}
}

func TestSameLogLevelForGood(t *testing.T) {
	client := served(t, &fakeGateway{LogLevels: &fakeLevels{level: "debug", forTime: time.Minute}}, "127.0.0.1:0")
	status, body := ask(t, client, "PUT", "/debug/node/log-level/debug?timeout=0")
	if status != 200 || body["message"] != "log level is already debug, and stays" {
		t.Errorf("found %d %v, expected that the level is no longer for a while", status, body)
	}
}

func TestAdminLatency(t *testing.T) {
	for _, on := range []bool{false, true} {
		s := New(&fakeGateway{}, slog.New(slog.DiscardHandler))
		s.Latency = on
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		s.write(&ctx, Answer{Body: "x"})
		if got := string(ctx.Response.Header.Peek("X-Kong-Admin-Latency")); (got == "") == on {
			t.Errorf("latency %t: found %q", on, got)
		}
	}
}
