package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// bodies does with bodies what the header X-Do says.
type bodies struct{}

func does(k *pdk.PDK, what string) bool {
	do, _ := k.Request.GetHeader("X-Do")
	return strings.Contains(do, what)
}

func (*bodies) Access(k *pdk.PDK) error {
	if does(k, "read") {
		if _, err := k.Request.GetRawBody(); err != nil {
			return err
		}
	}
	if does(k, "again") { // a handler that does not take no for an answer
		for range 5 {
			_, _ = k.Request.GetRawBody()
		}
	}
	if does(k, "replace") {
		if err := k.ServiceRequest.SetRawBody(bytes.Repeat([]byte("r"), 10<<10)); err != nil {
			return err
		}
	}
	if does(k, "exit") {
		return k.Response.Exit(200, strings.Repeat("e", 10<<10), nil)
	}
	if does(k, "fail") {
		return errTest
	}
	return nil
}

func (*bodies) Response(k *pdk.PDK) error {
	if does(k, "insist") {
		for range 5 {
			if _, err := k.ServiceResponse.GetRawBody(); err == nil || !strings.Contains(err.Error(), "max_body") {
				return fmt.Errorf("a body over the limit: %w", err)
			}
		}
	}
	if does(k, "huge") {
		return k.Response.SetRawBody(bytes.Repeat([]byte("h"), huge))
	}
	if does(k, "answer") {
		return k.Response.SetRawBody(bytes.Repeat([]byte("a"), 10<<10))
	}
	return nil
}

// huge is a body that no buffers of the kernel take.
const huge = 32 << 20

func (*bodies) Log(k *pdk.PDK) error { return nil }

// grows makes bodies longer while they pass.
type grows struct{}

func (*grows) BodyFilter(k *pdk.PDK, chunk []byte, _ bool) ([]byte, error) {
	if does(k, "break") {
		return nil, errTest
	}
	return append(bytes.Clone(chunk), '!'), nil
}

// bounded starts a gateway that keeps most bytes of bodies.
func bounded(t *testing.T, most int64, records string) (*gateway, *budget.Bytes) {
	b := budget.NewBytes(most)
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Got", fmt.Sprint(n))
		_, _ = io.WriteString(w, strings.Repeat("u", 5<<10))
	})
	return start(t, up, plain+"plugins: ["+records+"]\n", []pdk.Plugin{plugin("bodies", 2, &bodies{}), plugin("grows", 1, &grows{})}, func(o *Options) { o.Bodies = b }), b
}

func (g *gateway) post(do string, size int) reply {
	g.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+g.addr+"/api", strings.NewReader(strings.Repeat("c", size)))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("X-Do", do)
	resp, err := client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return reply{resp, string(b)}
}

func drained(t *testing.T, b *budget.Bytes) {
	t.Helper()
	for deadline := time.Now().Add(patience); b.Used() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes were never given back", b.Used())
		}
	}
}

func TestABodyThatFindsNoMemory(t *testing.T) {
	for name, c := range map[string]struct {
		records, do string
		size        int
		status      int
		upstream    string // how many bytes it got; "": it was not asked
	}{
		"fits":                        {"{name: bodies}", "read", 40 << 10, 200, "40960"},
		"does not fit":                {"{name: bodies}", "read", 100 << 10, 503, ""},
		"nobody reads it":             {"{name: bodies}", "", 100 << 10, 200, "102400"},
		"open, it goes on whole":      {"{name: bodies, fail_mode: open}", "read", 100 << 10, 200, "102400"},
		"asked again, it goes on":     {"{name: bodies}", "again", 100 << 10, 200, "102400"},
		"replaced":                    {"{name: bodies}", "read replace", 40 << 10, 200, "10240"},
		"replaced, does not fit":      {"{name: bodies}", "read replace", 62 << 10, 503, ""},
		"a status of the instance's":  {"{name: bodies, fail_status: 507}", "read", 100 << 10, 507, ""},
		"the response does not fit":   {"{name: bodies}", "read answer", 62 << 10, 503, "63488"},
		"the gateway's own does not":  {"{name: bodies}", "read exit", 62 << 10, 503, ""},
		"the handler fails otherwise": {"{name: bodies}", "read fail", 10 << 10, 500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g, b := bounded(t, 64<<10, c.records)
			r := g.post(c.do, c.size)
			if retry := r.Header.Get("Retry-After"); r.StatusCode != c.status || (retry == "1") != (c.status == 503) {
				t.Errorf("answer %d, Retry-After %q, want %d", r.StatusCode, retry, c.status)
			}
			if got := r.Header.Get("X-Got"); got != c.upstream && c.status == 200 {
				t.Errorf("the upstream got %s bytes, want %s", got, c.upstream)
			}
			if refused := b.Refused() > 0; refused != (c.size >= 62<<10 && c.do != "") {
				t.Errorf("%d were refused", b.Refused())
			}
			drained(t, b)
		})
	}
}

// When to try again was said of the 503; the failure of a later phase is no matter of time.
func TestAnErrorOverAnOverloadIsNoOverload(t *testing.T) {
	late := &headerFilter{func(k *pdk.PDK) error {
		if retry, ok := k.Response.GetHeader("Retry-After"); !ok || retry != "1" {
			return nil
		}
		return errTest
	}}
	g := start(t, echo, plain+"plugins: [{name: bodies}, {name: late}]\n", []pdk.Plugin{plugin("bodies", 2, &bodies{}), plugin("late", 1, late)},
		func(o *Options) { o.Bodies = budget.NewBytes(64 << 10) })
	if r := g.post("read", 100<<10); r.StatusCode != 500 || len(r.Header.Values("Retry-After")) > 0 {
		t.Errorf("answer %d, Retry-After %q, want 500 and none", r.StatusCode, r.Header.Values("Retry-After"))
	}
}

// What clients announce takes no memory, what they send does: one that sends nothing cannot keep others out.
func TestAnnouncedBodiesTakeNoMemory(t *testing.T) {
	g, b := bounded(t, 64<<10, "{name: bodies}")
	var idle []net.Conn
	const clients, sent = 2, 9000 // fasthttp waits for 8 KiB before it calls the handler
	for range clients {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
		fmt.Fprintf(c, "POST /api HTTP/1.1\r\nHost: h\r\nX-Do: read\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("c", sent))
	}
	for deadline := time.Now().Add(patience); b.Used() < clients*sent; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %d bytes are held", b.Used())
		}
	}
	g.post("read", 10<<10).want(t, 200, "")
	for _, c := range idle {
		_ = c.Close()
	}
	drained(t, b)
}

// A body that is over the limit takes the memory of one try, however often a handler asks, and goes on whole.
func TestABodyOverTheLimitTakesMemoryOnce(t *testing.T) {
	const limit, size = 64 << 10, 300 << 10
	b := budget.NewBytes(3 * limit)
	sent := bytes.Repeat([]byte("0123456789"), size/10)
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Got", fmt.Sprint(n))
		w.(http.Flusher).Flush() // without a length
		_, _ = w.Write(sent)
	})
	g := start(t, up, plain+"plugins: [{name: bodies}]\n", []pdk.Plugin{plugin("bodies", 1, &bodies{})}, func(o *Options) {
		o.Bodies, o.MaxBody = b, limit
	})
	req, err := http.NewRequest(http.MethodPost, "http://"+g.addr+"/api", io.MultiReader(bytes.NewReader(sent))) // without a length
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Do", "again insist")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("X-Got") != fmt.Sprint(len(sent)) || !bytes.Equal(got, sent) {
		t.Errorf("status %d, the upstream got %s bytes, the client %d, %v; expected %d", resp.StatusCode, resp.Header.Get("X-Got"), len(got), err, len(sent))
	}
	if n := b.Refused(); n != 0 {
		t.Errorf("%d takings were refused", n)
	}
	drained(t, b)
}

// A client that does not read its answer keeps the body in memory: so long it counts.
func TestABodyCountsUntilItIsWritten(t *testing.T) {
	b := budget.NewBytes(2 * huge)
	g := start(t, echo, plain+"plugins: [{name: bodies}]\n", []pdk.Plugin{plugin("bodies", 1, &bodies{})}, func(o *Options) {
		o.Bodies, o.MaxBody, o.Dispatcher.Node.MaxBody = b, huge, huge
	})
	for _, whole := range []bool{true, false} {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "GET /api HTTP/1.1\r\nHost: h\r\nX-Do: huge\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if used := b.Used(); used < huge || resp.ContentLength != huge {
			t.Errorf("%d bytes are held while %d of %d bytes wait for the client", used, resp.ContentLength, huge)
		}
		if whole {
			if n, err := io.Copy(io.Discard, resp.Body); n != huge || err != nil {
				t.Errorf("%d bytes came, %v", n, err)
			}
		}
		_ = c.Close()
		drained(t, b)
	}
}

// Whatever happens to requests, nothing of the memory that they took stays taken.
func TestBodiesAreGivenBack(t *testing.T) {
	g, b := bounded(t, 72<<10, "{name: bodies}, {name: grows}")
	what := []string{"read", "again", "replace", "exit", "fail", "answer", "break"}
	var refused, answered atomic.Int64
	var all sync.WaitGroup
	for worker := range 8 {
		dice := rand.New(rand.NewPCG(uint64(worker), 1))
		all.Go(func() {
			for range 60 {
				do := what[dice.IntN(len(what))] + " " + what[dice.IntN(len(what))]
				size := dice.IntN(60 << 10)
				if dice.IntN(4) == 0 { // a client that goes away in the middle
					if c, err := net.Dial("tcp", g.addr); err == nil {
						fmt.Fprintf(c, "POST /api HTTP/1.1\r\nHost: h\r\nX-Do: %s\r\nContent-Length: %d\r\n\r\n%s", do, size+100, strings.Repeat("c", size))
						_ = c.Close()
					}
					continue
				}
				req, err := http.NewRequest(http.MethodPost, "http://"+g.addr+"/api", strings.NewReader(strings.Repeat("c", size)))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("X-Do", do)
				resp, err := client.Do(req)
				if err != nil {
					if !errors.Is(err, io.EOF) { // cut off by a filter
						continue
					}
					t.Error(err)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				answered.Add(1)
				if resp.StatusCode == 503 {
					refused.Add(1)
				}
			}
		})
	}
	all.Wait()
	drained(t, b)
	if answered.Load() == 0 || refused.Load() == 0 || b.Refused() == 0 {
		t.Errorf("%d answers, %d of them 503, %d refused: the test shows nothing", answered.Load(), refused.Load(), b.Refused())
	}
}

// A filter that fails replaces the head. What is left of the request body must not be taken for the next request.
func TestAFailedFilterKeepsTheConnectionClosed(t *testing.T) {
	g, _ := bounded(t, 1<<20, "{name: bodies}, {name: grows}")
	r := g.post("exit break", 100<<10)
	r.want(t, 500, "")
	if !r.Close {
		t.Error("the connection is kept although the request body was not read")
	}
}
