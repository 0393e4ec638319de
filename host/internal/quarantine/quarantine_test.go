package quarantine

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// client sends requests through a table, as dispatch does.
type client struct {
	*Table
	t   *testing.T
	in  *plan.Instance
	now time.Time
}

func newClient(t *testing.T, table *Table) *client {
	return &client{Table: table, t: t, in: &plan.Instance{ID: 7, Record: &entity.Plugin{ID: "record", Name: "gate"}}, now: time.Now()}
}

// begin makes a call of a request for a path.
func (c *client) begin(path string, headers ...string) *dispatch.Call {
	ex := &exchange.Exchange{}
	plain, _, _ := strings.Cut(path, "?")
	ex.Facts.Request = wire.Request{Method: "GET", Host: "api.example.com", Target: path, Path: plain}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		ex.Facts.Request.Headers = append(ex.Facts.Request.Headers, wire.Header{Name: name, Value: value})
	}
	return &dispatch.Call{Instance: c.in, Phase: pdk.PhaseAccess, Exchange: ex, Request: &wire.Call{Facts: &ex.Facts}, Start: c.now}
}

// refused says whether a call is refused.
func (c *client) refused(call *dispatch.Call) bool {
	err := c.Before(call)
	var r *dispatch.Refusal
	if err != nil && (!errors.As(err, &r) || r.Code != dispatch.Quarantined) {
		c.t.Errorf("refused with %v", err)
	}
	return err != nil
}

// send sends a call that ends with err, unless it is refused.
func (c *client) send(call *dispatch.Call, code dispatch.Code, err error) bool {
	if c.refused(call) {
		return false
	}
	call.Err, call.Code = err, code
	c.After(call)
	return true
}

// kill lets calls be in flight at the death of a life.
func (c *client) kill(life uint64, calls ...*dispatch.Call) {
	for _, call := range calls {
		if !c.refused(call) {
			defer func() {
				call.Err, call.Code = fmt.Errorf("wrapped: %w", &transport.Error{Kind: transport.Closed, Life: life}), dispatch.Closed
				c.After(call)
			}()
		}
	}
	c.Died(life)
}

func (c *client) wantRefused(want bool, what string, call *dispatch.Call) {
	c.t.Helper()
	if c.refused(call) != want {
		c.t.Errorf("%s: refused %t, want %t", what, !want, want)
	}
}

// A request that kills twice is refused, however it travels, and only that.
func TestPoisonIsRefused(t *testing.T) {
	c := newClient(t, &Table{})
	var told []Entry
	c.Refused = func(e Entry) { told = append(told, e) }
	c.kill(1, c.begin("/poison?secret=1", "X-A: 1", "Accept: */*", "Date: today"), c.begin("/other"))
	c.wantRefused(false, "after one death", c.begin("/poison?secret=1", "X-A: 1", "Accept: */*"))
	c.kill(2, c.begin("/poison?secret=1", "accept: */*", "x-a: 1", "Date: tomorrow", "X-Request-ID: 9", "traceparent: 00-1-2-01", "X-Forwarded-For: 10.0.0.1", "Connection: close"))
	c.wantRefused(true, "after two deaths", c.begin("/poison?secret=1", "X-A: 1", "Accept: */*"))
	c.wantRefused(true, "without a certain order", c.begin("/poison?secret=1", "Accept: */*", "X-A: 1"))
	for what, call := range map[string]*dispatch.Call{
		"another path":        c.begin("/poison?secret=2", "X-A: 1", "Accept: */*"),
		"another header":      c.begin("/poison?secret=1", "X-A: 2", "Accept: */*"),
		"one header less":     c.begin("/poison?secret=1", "X-A: 1"),
		"the bystander":       c.begin("/other"),
		"a body":              c.begin("/poison?secret=1", "X-A: 1", "Accept: */*"),
		"another phase":       c.begin("/poison?secret=1", "X-A: 1", "Accept: */*"),
		"another instance":    c.begin("/poison?secret=1", "X-A: 1", "Accept: */*"),
		"swapped value":       c.begin("/poison?secret=1", "X-A: */*", "Accept: 1"),
		"method and host mix": c.begin("/poison?secret=1", "X-A: 1", "Accept: */*"),
	} {
		switch what {
		case "a body":
			call.Request.RequestBody, call.Request.HasRequestBody = []byte("x"), true
		case "another phase":
			call.Phase = pdk.PhaseRewrite
		case "another instance":
			call.Instance = &plan.Instance{ID: 8, Record: c.in.Record}
		case "method and host mix":
			call.Exchange.Facts.Request.Method, call.Exchange.Facts.Request.Host = "GETa", "pi.example.com"
		}
		c.wantRefused(false, what, call)
	}
	st := c.Status()
	if st.Count != 1 || st.Marked != 1 || st.Refused != 2 || len(st.Entries) != 1 || len(told) != 1 {
		t.Fatalf("status %+v, told %v", st, told)
	}
	if e := st.Entries[0]; e.Plugin != "gate" || e.Instance != 7 || e.Phase != "access" || e.Deaths != 2 || e.Path != "/poison" || strings.Contains(fmt.Sprintf("%+v", e), "secret") {
		t.Errorf("entry %+v", e)
	}
}

// Who was only there when it happened is not refused.
func TestBystandersGoFree(t *testing.T) {
	crowd := func(c *client, n int, first string) (calls []*dispatch.Call) {
		calls = append(calls, c.begin(first))
		for i := range n {
			calls = append(calls, c.begin(fmt.Sprint("/crowd/", i)))
		}
		return calls
	}
	for name, test := range map[string]struct {
		table *Table
		run   func(c *client)
		want  bool // /x is refused
	}{
		"alone at two deaths":   {&Table{}, func(c *client) { c.kill(1, c.begin("/x")); c.kill(2, c.begin("/x")) }, true},
		"in small company":      {&Table{}, func(c *client) { c.kill(1, crowd(c, DefaultOthers, "/x")...); c.kill(2, c.begin("/x")) }, true},
		"one death, many calls": {&Table{}, func(c *client) { c.kill(1, c.begin("/x"), c.begin("/x"), c.begin("/x")) }, false},
		"crowded death":         {&Table{}, func(c *client) { c.kill(1, crowd(c, DefaultOthers+1, "/x")...); c.kill(2, c.begin("/x")) }, false},
		"crowded by itself":     {&Table{Others: 1}, func(c *client) { c.kill(1, c.begin("/x"), c.begin("/x"), c.begin("/x")); c.kill(2, c.begin("/x")) }, true},
		"answered between": {&Table{}, func(c *client) {
			c.kill(1, c.begin("/x"))
			c.send(c.begin("/x"), dispatch.OK, nil)
			c.kill(2, c.begin("/x"))
		}, false},
		"failed by its handler": {&Table{}, func(c *client) {
			c.kill(1, c.begin("/x"))
			c.send(c.begin("/x"), dispatch.HandlerError, errors.New("no"))
			c.kill(2, c.begin("/x"))
		}, false},
		"operations refused": {&Table{}, func(c *client) {
			c.kill(1, c.begin("/x"))
			c.send(c.begin("/x"), dispatch.Refused, errors.New("no"))
			c.kill(2, c.begin("/x"))
		}, false},
		"late, which proves nothing": {&Table{}, func(c *client) {
			c.kill(1, c.begin("/x"))
			c.send(c.begin("/x"), dispatch.Timeout, errors.New("late"))
			c.kill(2, c.begin("/x"))
		}, true},
		"only the lane was lost":      {&Table{}, func(c *client) { c.lost(1, c.begin("/x")); c.lost(2, c.begin("/x")) }, false},
		"one lane lost, one death":    {&Table{}, func(c *client) { c.lost(1, c.begin("/x")); c.kill(2, c.begin("/x")) }, false},
		"deaths confirmed afterwards": {&Table{}, func(c *client) { c.lost(1, c.begin("/x")); c.lost(2, c.begin("/x")); c.Died(2); c.Died(1) }, true},
		"not sent, or not watched":    {&Table{}, func(c *client) { c.lost(0, c.begin("/x")); c.lost(0, c.begin("/x")); c.Died(0) }, false},
		"long ago": {&Table{}, func(c *client) {
			c.kill(1, c.begin("/x"))
			c.now = c.now.Add(DefaultPeriod + time.Second)
			c.kill(2, c.begin("/x"))
		}, false},
		"over": {&Table{}, func(c *client) {
			c.kill(1, c.begin("/x"))
			c.kill(2, c.begin("/x"))
			c.now = c.now.Add(DefaultPeriod + time.Second)
		}, false},
		"a crowd takes no room": {&Table{Entries: 20}, func(c *client) {
			c.kill(1, c.begin("/x"))
			c.kill(2, crowd(c, 100, "/y")...)
			c.kill(3, c.begin("/x"))
		}, true},
		"other plugins": {&Table{}, func(c *client) {
			c.kill(1, c.begin("/x"))
			c.kill(2, c.begin("/x"))
			c.Forget([]uint64{3, 7})
		}, false},
		"other plugins of another server": {&Table{}, func(c *client) {
			c.kill(1, c.begin("/x"))
			c.Forget([]uint64{3, 8})
			c.kill(2, c.begin("/x"))
		}, true},
		"forgotten for want of room": {&Table{Entries: 3}, func(c *client) { c.kill(1, c.begin("/x")); c.kill(2, crowd(c, 2, "/y")...); c.kill(3, c.begin("/x")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, test.table)
			test.run(c)
			c.wantRefused(test.want, "/x", c.begin("/x"))
		})
	}
}

// lost ends a lane under a call. Whether the process died is not known.
func (c *client) lost(life uint64, call *dispatch.Call) {
	c.send(call, dispatch.Closed, &transport.Error{Kind: transport.Closed, Life: life})
}

// A handler that changes the request and succeeds is recognised all the same.
func TestAnAnswerCountsWhateverItChanged(t *testing.T) {
	c := newClient(t, &Table{})
	c.kill(1, c.begin("/x", "X-A: 1"))
	call := c.begin("/x", "X-A: 1")
	c.wantRefused(false, "after one death", call)
	call.Exchange.Facts.Request.Headers[0].Value, call.Exchange.Facts.Request.Method = "changed", "POST"
	call.Code = dispatch.OK
	c.After(call)
	if st := c.Status(); st.Marked != 0 || c.marked.Load() != 0 || c.followed.Load() != 0 {
		t.Errorf("status %+v, %d calls followed; want nothing left", st, c.followed.Load())
	}
}

// The table is bounded in fingerprints, deaths and what it shows.
func TestTableIsBounded(t *testing.T) {
	c := newClient(t, &Table{Entries: 50})
	for i := range uint64(300) {
		path := fmt.Sprint("/", i, strings.Repeat("p", 300))
		c.kill(2*i+1, c.begin(path))
		c.kill(2*i+2, c.begin(path))
	}
	st := c.Status()
	if st.Count != 50 || len(st.Entries) != newest || len(c.deaths) > maxDeaths || len(c.lives) > maxDeaths || c.marks[7] != 50 || c.order.Len() != 50 {
		t.Errorf("%d refused, %d shown, %d deaths, %d marks", st.Count, len(st.Entries), len(c.deaths), c.marks[7])
	}
	if e := st.Entries[0]; !strings.HasPrefix(e.Path, "/299p") || len(e.Path) != longestPath {
		t.Errorf("the newest entry is %+v", e)
	}
}

func TestConcurrentUse(t *testing.T) {
	c := newClient(t, &Table{Entries: 20})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			mine := &client{Table: c.Table, t: t, in: c.in, now: c.now}
			for i := range uint64(200) {
				life := i*8 + uint64(g) + 1
				mine.kill(life, mine.begin(fmt.Sprint("/", i%30)))
				mine.send(mine.begin(fmt.Sprint("/", i%7)), dispatch.OK, nil)
				_ = c.Status()
			}
		})
	}
	all.Wait()
	if n := c.followed.Load(); n != 0 {
		t.Errorf("%d calls are followed at the end", n)
	}
}

// Calls that succeed cost nothing on the heap, with an empty table and with marks of others.
func TestAllocations(t *testing.T) {
	c := newClient(t, &Table{})
	call := c.begin("/x", "X-A: 1", "Accept: */*", "Cookie: a=b")
	call.Code = dispatch.OK
	one := func() {
		if c.Before(call) != nil {
			t.Fatal("refused")
		}
		c.After(call)
	}
	if n := testing.AllocsPerRun(100, one); n != 0 {
		t.Errorf("%v allocations with an empty table", n)
	}
	c.kill(1, c.begin("/other"))
	if n := testing.AllocsPerRun(100, one); n != 0 {
		t.Errorf("%v allocations with a mark of another request", n)
	}
}

// Calls of an instance with suspects travel alone, those of others need not.
func TestSuspectsTravelAlone(t *testing.T) {
	c := newClient(t, &Table{})
	other := &plan.Instance{ID: 8, Record: &entity.Plugin{ID: "other", Name: "other"}}
	if c.Reserved(c.in, pdk.PhaseAccess) {
		t.Error("alone before anything died")
	}
	c.kill(1, c.begin("/poison"))
	if !c.Reserved(c.in, pdk.PhaseLog) || c.Reserved(other, pdk.PhaseAccess) {
		t.Error("after a death the instance that was in flight travels with others, or another one does not")
	}
	c.send(c.begin("/poison"), dispatch.OK, nil)
	if c.Reserved(c.in, pdk.PhaseAccess) {
		t.Error("alone although an answer has proved its innocence")
	}
}
