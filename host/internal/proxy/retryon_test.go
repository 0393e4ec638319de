package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// scripted is an upstream that gives its answers in turn, the last one for good: a status, closed or hangs. Its text counts them, and says how long the
// request body was.
func scripted(t *testing.T, answers ...int) (address string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		body, _ := io.ReadAll(r.Body)
		switch answer := answers[min(n, len(answers))-1]; answer {
		case closed:
			panic(http.ErrAbortHandler)
		case hangs:
			<-r.Context().Done()
		default:
			w.Header().Set("X-Answer", fmt.Sprint(n))
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(answer)
			fmt.Fprintf(w, "answer %d to %d bytes", n, len(body))
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), asked
}

const (
	closed = iota
	hangs
)

func TestRetryOn(t *testing.T) {
	const on = "retry_on: [503, 502, 404]"
	long := strings.Repeat("x", 9<<10)
	for _, c := range []struct {
		name, method, body, fields string
		answers                    []int
		retries                    int
		status                     int
		asked                      int32
	}{
		{"without it", "GET", "", "slots: 10", []int{503, 200}, 5, 503, 1},
		{"empty", "GET", "", "retry_on: []", []int{503, 200}, 5, 503, 1},
		{"another status", "GET", "", on, []int{500, 200}, 5, 500, 1},
		{"a success", "GET", "", on, []int{200, 503}, 5, 200, 1},
		{"once", "GET", "", on, []int{503, 200}, 5, 200, 2},
		{"several", "GET", "", on, []int{503, 502, 404, 201}, 5, 201, 4},
		{"until one that is not listed", "GET", "", on, []int{503, 500, 200}, 5, 500, 2},
		{"all retries", "GET", "", on, []int{503}, 5, 503, 6},
		{"the last one's status", "GET", "", on, []int{503, 404}, 1, 404, 2},
		{"no retries", "GET", "", on, []int{503, 200}, 0, 503, 1},
		{"beside failures", "GET", "", on, []int{closed, 503, closed, 200}, 5, 200, 4},
		{"a failure last", "GET", "", on, []int{503, closed}, 1, 502, 3}, // a kept connection that is closed is no try
		{"a status last", "GET", "", on, []int{closed, 503}, 1, 503, 2},
		{"HEAD", "HEAD", "", on, []int{503, 200}, 5, 200, 2},
		{"OPTIONS", "OPTIONS", "", on, []int{503, 200}, 5, 200, 2},
		{"DELETE", "DELETE", "", on, []int{503, 200}, 5, 200, 2},
		{"PUT", "PUT", "body", on, []int{503, 503, 200}, 5, 200, 3},
		{"PUT with a long body", "PUT", long, on, []int{503, 200}, 5, 503, 1},
		{"PUT with a body of unknown length", "PUT", "unknown", on, []int{503, 200}, 5, 503, 1},
		{"POST", "POST", "body", on, []int{503, 200}, 5, 503, 1},
		{"PATCH", "PATCH", "", on, []int{503, 200}, 5, 503, 1},
		{"LOCK", "LOCK", "", on, []int{503, 200}, 5, 503, 1},
		{"budget", "GET", "", on + ", retry_budget: {budget_percent: 0, min_retry_concurrency: 0}", []int{503, 200}, 5, 503, 1},
		{"budget for one", "GET", "", on + ", retry_budget: {budget_percent: 0, min_retry_concurrency: 1}", []int{503}, 5, 503, 6},
		{"no more connections", "GET", "", on + ", circuit_breakers: {max_connections: 1}", []int{503, 200}, 5, 503, 1},
		{"no waiting for them", "GET", "", on + ", circuit_breakers: {max_connections: 1, max_pending_requests: 9}", []int{503, 200}, 5, 503, 1},
		{"unhealthy now", "GET", "", on + ", healthchecks: {passive: {unhealthy: {http_failures: 2}}}", []int{503, 503, 200}, 5, 503, 2},
		{"ejected now", "GET", "", on + ", outlier_detection: {consecutive_5xx: 1, max_ejection_percent: 100}", []int{503, 200}, 5, 503, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // each waits a moment for its gateway to end
			address, asked := scripted(t, c.answers...)
			g := start(t, echo, strings.Replace(pooled(c.fields, address), "retries: 5", fmt.Sprintf("retries: %d", c.retries), 1), nil)
			body := io.Reader(strings.NewReader(c.body))
			if c.body == "unknown" {
				body = io.MultiReader(body)
			}
			text := fmt.Sprintf("answer %d to %d bytes", c.asked, len(c.body))
			if c.method == "HEAD" || c.answers[min(int(c.asked), len(c.answers))-1] == closed {
				text = ""
			}
			r := g.do(c.method, "/", body)
			r.want(t, c.status, text)
			if n := asked.Load(); n != c.asked {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
			if answer := r.Header["X-Answer"]; text != "" && !slices.Equal(answer, []string{fmt.Sprint(c.asked)}) {
				t.Errorf("header of the answers %q", answer)
			}
			eventually(t, "nothing is in flight", func() bool {
				s := g.holder.Current().Balancing()[0]
				return s.InFlight == 0 && s.Targets[0].Addresses[0].InFlight == 0
			})
		})
	}
}

// A body that a plugin has read is there for the next try, however long it is.
func TestRetryOnWithABodyThatAPluginRead(t *testing.T) {
	address, asked := scripted(t, 503, 200)
	reads := &access{func(k *pdk.PDK) error { _, err := k.Request.GetRawBody(); return err }}
	g := start(t, echo, pooled("retry_on: [503]", address)+"plugins: [{name: reads}]\n", []pdk.Plugin{plugin("reads", 1, reads)})
	g.do("PUT", "/", strings.NewReader(strings.Repeat("x", 200_000))).want(t, 200, "answer 2 to 200000 bytes")
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// The next try goes to a target that the request has not asked, and the cookie of sticky sessions leads to the one whose answer is there.
func TestRetryOnAsksOthersFirst(t *testing.T) {
	one, asked := scripted(t, 503)
	other, alsoAsked := scripted(t, 502)
	for _, algorithm := range []string{"round-robin", "least-connections", "latency", "consistent-hashing, hash_on: path", "sticky-sessions, sticky_sessions_cookie: at"} {
		asked.Store(0)
		alsoAsked.Store(0)
		g := start(t, echo, pooled("retry_on: [502, 503], algorithm: "+algorithm, one, other, named(t, "good")), nil)
		cookie := ""
		for i := range 9 {
			r := g.get(fmt.Sprint("/", i))
			r.want(t, 200, "good")
			cookie = r.Header.Get("Set-Cookie")
		}
		if a, b := asked.Load(), alsoAsked.Load(); a+b == 0 || a > 9 || b > 9 {
			t.Errorf("%s: the others were asked %d and %d times", algorithm, a, b)
		}
		if cookie != "" {
			before := asked.Load() + alsoAsked.Load()
			g.get("/", "Cookie", cookie[:strings.IndexByte(cookie, ';')]).want(t, 200, "good")
			if asked.Load()+alsoAsked.Load() != before {
				t.Error("the cookie leads to another target")
			}
		}
	}
}

// Every try counts with its own status: for health, for the ejection of targets, and among the retries.
func TestRetryOnCountsEachTry(t *testing.T) {
	bad, asked := scripted(t, 503)
	g := start(t, echo, pooled("retry_on: [503], healthchecks: {passive: {healthy: {successes: 1}, unhealthy: {http_failures: 3}}}", bad, named(t, "good")), nil)
	for range 20 {
		g.get("/").want(t, 200, "good")
	}
	s := g.holder.Current().Balancing()[0]
	if n := asked.Load(); n != 3 || s.Retries != 3 || s.Denied != 0 {
		t.Errorf("the bad target was asked %d times, %d retries, %d denied", n, s.Retries, s.Denied)
	}
	for _, target := range s.Targets {
		if want := map[bool]string{true: "unhealthy", false: "healthy"}[target.Target == bad]; target.Addresses[0].State != want {
			t.Errorf("%s is %s", target.Target, target.Addresses[0].State)
		}
	}
	g.load(pooled("retry_on: [503], outlier_detection: {consecutive_gateway_failure: 2}", bad, named(t, "good")))
	asked.Store(0)
	g.holder.Current().SetHealth("pool", bad, true)
	for range 20 {
		g.get("/").want(t, 200, "good")
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the target was asked %d times until it was ejected", n)
	}
	g = start(t, echo, pooled("retry_on: [503], retry_budget: {budget_percent: 0, min_retry_concurrency: 0}", bad), nil)
	g.get("/").want(t, 503, "answer")
	if s := g.holder.Current().Balancing()[0]; s.Denied != 1 {
		t.Errorf("%d denied", s.Denied)
	}
}

// Plugins see nothing of an answer that was given up, and the log entry has its try.
func TestRetryOnAndPlugins(t *testing.T) {
	address, _ := scripted(t, 503, 503, 200)
	var seen []string
	entries := make(chan string, 1)
	look := func(k *pdk.PDK) error {
		of, _ := k.ServiceResponse.GetStatus()
		seen = append(seen, fmt.Sprint(of, " ", k.Response.GetStatus()))
		return nil
	}
	g := start(t, echo, pooled("retry_on: [503]", address)+"plugins: [{name: r}, {name: l}]\n", []pdk.Plugin{
		plugin("r", 2, &response{look}),
		plugin("l", 1, &logger{func(k *pdk.PDK) error {
			text, err := k.Log.Serialize()
			entries <- text
			return err
		}}),
	}, withGateway)
	g.get("/").want(t, 200, "answer 3")
	if !slices.Equal(seen, []string{"200 200"}) {
		t.Errorf("the plugin has seen %q", seen)
	}
	var entry struct {
		Status int `json:"upstream_status"`
		Tries  []struct {
			Port  int
			State string
		}
	}
	if err := json.Unmarshal([]byte(<-entries), &entry); err != nil {
		t.Fatal(err)
	}
	_, port := split(t, address)
	if entry.Status != 200 || fmt.Sprint(entry.Tries) != fmt.Sprintf("[{%d failed} {%[1]d failed} {%[1]d }]", port) {
		t.Errorf("entry %+v", entry)
	}
}

// A plugin's own upstream has its own statuses, and a target that a plugin names has none; its fallbacks are asked as after a failure.
func TestRetryOnOfAnotherUpstream(t *testing.T) {
	address, asked := scripted(t, 503, 200)
	own, ownAsked := scripted(t, 503, 200)
	host, port := split(t, address)
	text := pooled("slots: 10", own) + fmt.Sprintf("- {name: other, retry_on: [503], healthchecks: {passive: {healthy: {successes: 1}, unhealthy: {http_failures: 9}}}, targets: [{target: %q}]}\nplugins: [{name: d}]\n", address)
	says := &access{func(k *pdk.PDK) error {
		switch {
		case does(k, "upstream"):
			return k.Service.SetUpstream("other")
		case does(k, "target"):
			return k.Service.SetTarget(host, port)
		case does(k, "fallback"):
			return errors.Join(k.Service.SetUpstream("other"), k.Service.SetFallbackTargets([]string{own}))
		}
		return nil
	}}
	g := start(t, echo, text, []pdk.Plugin{plugin("d", 1, says)}, withGateway)
	g.get("/", "X-Do", "upstream").want(t, 200, "answer 2")
	asked.Store(0)
	g.get("/", "X-Do", "target").want(t, 503, "answer 1")
	if g.get("/").want(t, 503, "answer 1"); ownAsked.Load() != 1 {
		t.Errorf("asked %d times", ownAsked.Load())
	}
	asked.Store(0)
	if g.get("/", "X-Do", "fallback").want(t, 200, "answer 2"); asked.Load() != 1 || ownAsked.Load() != 2 {
		t.Errorf("asked %d times, the fallback %d times", asked.Load(), ownAsked.Load())
	}
	eventually(t, "nothing is in flight", func() bool {
		flight := int64(0)
		for _, s := range g.holder.Current().Balancing() {
			a := s.Targets[0].Addresses[0]
			if flight += s.InFlight + a.InFlight; s.Name == "other" && a.State != "mostly_healthy" {
				t.Errorf("the target is %s after the success of the fallback", a.State)
			}
		}
		return flight == 0
	})
}

// A client that leaves after an answer was given up has gone: the next try ends, and no other follows.
func TestClientLeavesAfterAnAnswerWasGivenUp(t *testing.T) {
	address, asked := scripted(t, 503, hangs)
	ended := make(chan int, 1)
	logs := &logger{func(k *pdk.PDK) error {
		ended <- k.Response.GetStatus()
		return nil
	}}
	g := start(t, echo, pooled("retry_on: [503]", address)+"plugins: [{name: logs}]\n", []pdk.Plugin{plugin("logs", 1, logs)})
	client, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second try", func() bool { return asked.Load() == 2 })
	client.Close()
	if status := <-ended; status != statusClientGone || asked.Load() != 2 {
		t.Errorf("status %d after %d tries", status, asked.Load())
	}
}

// The timeouts are those of a try.
func TestTimeoutAfterAnAnswerWasGivenUp(t *testing.T) {
	address, _ := scripted(t, 503, hangs)
	text := strings.Replace(pooled("retry_on: [503]", address), "retries: 5", "retries: 1\n  read_timeout: 500", 1)
	start(t, echo, text, nil).get("/").want(t, 504, "")
}
