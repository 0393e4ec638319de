package blackbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// logged is a log that may be written from many goroutines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newTest(t *testing.T, change func(*Options)) (*Recorder, string, *logged) {
	t.Helper()
	dir, log := filepath.Join(t.TempDir(), "box"), &logged{}
	o := Options{
		Dir: dir, MaxBytes: 64 << 20, Gateway: "1.2.3", Node: "n", Logger: slog.New(slog.NewTextHandler(log, nil)),
		Origin:      origin,
		SecretNames: func() []string { return []string{"x-shop"} },
	}
	if change != nil {
		change(&o)
	}
	r := New(o)
	t.Cleanup(func() { finish(t, r) })
	return r, dir, log
}

func origin(*plan.Instance) Origin { return Origin{"py", "msgpack", "python 0.1.0", "0.2.0"} }

// finish waits until everything is written.
func finish(t *testing.T, r *Recorder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func raw(t testing.TB, v any) []byte {
	t.Helper()
	b, err := wire.AppendValue(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func doc(t testing.TB, fields map[string]any) *wire.Entity {
	t.Helper()
	e, err := wire.NewEntity(fields)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// failing is a failed call with everything that a call may have.
func failing(t testing.TB, code dispatch.Code, err error) *dispatch.Call {
	f := &wire.Facts{
		RequestID: "r1", StartTime: 1700000000123,
		Request: wire.Request{
			Method: "POST", Scheme: "http", Host: "gw.test", Port: 8000, HTTPVersion: 11, Target: "/a%20b?x=1&y=%26", Path: "/a b", RawQuery: "x=2",
			Headers: []wire.Header{{Name: "x-a", Value: "1"}, {Name: "x-a", Value: "\xff\x00<"}},
		},
		Client:    wire.Client{IP: "10.0.0.9", Port: 40000, ForwardedIP: "10.0.0.8", ForwardedPort: 7, Trusted: true},
		Forwarded: wire.Forwarded{Set: true, Scheme: "https", Host: "h", Port: 443, Path: "/p", Prefix: "", HasPrefix: true},
		Route:     doc(t, map[string]any{"id": "route", "paths": []any{"/a"}}), Service: doc(t, map[string]any{"id": "service", "port": int64(80)}),
		Consumer: doc(t, map[string]any{"id": "c", "username": "ada"}), Credential: doc(t, map[string]any{"id": "k", "consumer": map[string]any{"id": "c"}}),
		Captures: wire.Captures{Unnamed: []string{"b"}, Named: []wire.Header{{Name: "n", Value: "b"}}},
		Shared:   []wire.SharedValue{{Key: "a", Value: raw(t, []any{nil, true, 1.0, 1.5, int64(-3), uint64(1 << 63), []byte{0xff}, "\xff", map[string]any{"$x": "y"}})}},
		TLS:      wire.TLS{Set: true, Version: "TLSv1.3", Cipher: "c", ClientVerify: "NONE", HasCertificate: true}, Groups: []wire.Group{{ID: "g", Name: "gold"}},
		HasResponse: true, Response: wire.Response{Status: 200, Headers: []wire.Header{{Name: "a", Value: "b"}}, Source: wire.SourceExit},
		HasServiceResponse: true, ServiceResponse: wire.Response{Status: 201, Headers: []wire.Header{}},
	}
	in := &plan.Instance{ID: 7, Record: &entity.Plugin{ID: "rec", Name: "picky", InstanceName: "one", Config: map[string]any{"a": 1, "list": []string{"x"}}}}
	return &dispatch.Call{
		Instance: in, Phase: pdk.PhaseAccess, Sent: true, Start: time.Now(), Duration: 1500 * time.Microsecond, Err: err, Code: code, Outcome: &wire.Outcome{},
		Request: &wire.Call{
			Instance: 7, Phase: pdk.PhaseAccess.Code(), TimeoutMS: 1000, Facts: f, PluginID: "rec", Plugin: []wire.SharedValue{{Key: "p", Value: raw(t, "q")}},
			Chunk: []byte("chunk"), HasChunk: true, Last: true, RequestBody: []byte{0, 0xff}, HasRequestBody: true, ResponseBody: []byte{}, HasResponseBody: true,
		},
	}
}

var errBoom = &wire.Error{Code: wire.CodeHandlerError, Message: "boom", Detail: "line 1\nline 2"}

// What is read back from a file is the call that was recorded, bytes and types included.
func TestRecordingHoldsTheCall(t *testing.T) {
	r, dir, _ := newTest(t, func(o *Options) { o.Bodies = true })
	c := failing(t, dispatch.HandlerError, errBoom)
	r.Asked(c, &wire.Ask{Fn: pdk.AskRequestGetRawBody}, &wire.Answer{Bytes: []byte("body"), IsBytes: true})
	r.Asked(c, &wire.Ask{Fn: pdk.AskClientLoadConsumer, Args: [][]byte{raw(t, "ada"), raw(t, true)}}, &wire.Answer{Value: raw(t, map[string]any{"id": "c"})})
	r.Asked(c, &wire.Ask{Fn: pdk.AskNodeGetMemoryStats}, &wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: "no"}})
	r.Asked(c, &wire.Ask{Fn: pdk.AskClientLoadConsumer, Args: [][]byte{raw(t, "eve")}}, &wire.Answer{})
	r.After(c)
	if c.Transcript != nil {
		t.Error("the transcript is still the call's")
	}
	finish(t, r)
	list := files(t, dir)
	if len(list) != 1 || !strings.HasSuffix(list[0], "-picky-access-handler_error-1.blackbox.json") {
		t.Fatalf("files %v", list)
	}
	if at, err := os.Stat(list[0]); err != nil || at.Mode() != 0o600 {
		t.Errorf("%v %v", at, err)
	}
	rec, err := Read(list[0])
	if err != nil {
		t.Fatal(err)
	}
	call, missing, err := rec.Request()
	if err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	c.Request.Instance = 0
	for _, e := range []**wire.Entity{&call.Route, &call.Service, &call.Consumer, &call.Credential} {
		if *e == nil || (*e).ID == "" {
			t.Fatalf("entity %+v", *e)
		}
	}
	if !reflect.DeepEqual(call, c.Request) {
		t.Errorf("found\n%+v %+v\nexpected\n%+v %+v", call, call.Facts, c.Request, c.Request.Facts)
	}
	if f := rec.Failure; f.Code != "handler_error" || f.Error != "handler_error: boom" || f.Detail != errBoom.Detail || f.DurationMS != 1.5 || f.Effect != "fail mode closed" {
		t.Errorf("failure %+v", f)
	}
	if p := rec.Plugin; p.Name != "picky" || p.Record != "rec" || p.InstanceName != "one" || p.Server != "py" || p.SDK != "python 0.1.0" || p.Version != "0.2.0" {
		t.Errorf("plugin %+v", p)
	}
	if len(rec.Asks) != 4 {
		t.Fatalf("questions %+v", rec.Asks)
	}
	if b, ok := rec.Asks[0].Bytes.Bytes(); string(b) != "body" || !ok || rec.Asks[1].Args[0].V != "ada" || rec.Asks[2].Error.Message != "no" || rec.Asks[3].Value != nil {
		t.Errorf("questions %+v", rec.Asks)
	}
}

// Answers that travelled with the call stand before those that were asked for, without those that the handler had no use for.
func TestPrefetchedAnswersAreRecorded(t *testing.T) {
	r, dir, _ := newTest(t, func(o *Options) { o.Bodies = true })
	c := failing(t, dispatch.HandlerError, errBoom)
	variable := func(name string) [][]byte { return [][]byte{raw(t, name)} }
	c.Request.Prefetched = []wire.Prefetched{
		{Fn: pdk.AskRequestGetRawBody, Answer: wire.Answer{Bytes: []byte("body"), IsBytes: true}},
		{Fn: pdk.AskNginxGetVar, Args: variable("uri"), Answer: wire.Answer{Bytes: []byte("/unused"), IsBytes: true}},
		{Fn: pdk.AskNginxGetVar, Args: variable("http_authorization"), Answer: wire.Answer{Bytes: []byte("s3cret-ahead"), IsBytes: true}},
	}
	c.Outcome.Unused = 1 << 1
	r.Asked(c, &wire.Ask{Fn: pdk.AskClientLoadConsumer, Args: variable("ada")}, &wire.Answer{})
	r.After(c)
	finish(t, r)
	text, err := os.ReadFile(files(t, dir)[0])
	if err != nil || bytes.Contains(text, []byte("s3cret-ahead")) || bytes.Contains(text, []byte("/unused")) {
		t.Fatalf("%v\n%s", err, text)
	}
	rec, err := Parse(text)
	if err != nil || len(rec.Asks) != 3 {
		t.Fatalf("%v, questions %+v", err, rec.Asks)
	}
	if b, ok := rec.Asks[0].Bytes.Bytes(); string(b) != "body" || !ok || !rec.Asks[0].Prefetched || rec.Asks[1].Args[0].V != "http_authorization" || !rec.Asks[1].Prefetched || rec.Asks[2].Prefetched {
		t.Errorf("questions %+v", rec.Asks)
	}
}

// Without black_box_bodies a body is its size and sum, and a reader says that it is missing.
func TestBodiesAreLeftOut(t *testing.T) {
	r, dir, _ := newTest(t, nil)
	c := failing(t, dispatch.Timeout, errors.New("late"))
	c.Request.Chunk = []byte("a piece of a body")
	r.Asked(c, &wire.Ask{Fn: pdk.AskRequestGetRawBody}, &wire.Answer{Bytes: []byte("another body"), IsBytes: true})
	r.After(c)
	finish(t, r)
	text, err := os.ReadFile(files(t, dir)[0])
	if err != nil || bytes.Contains(text, []byte("a piece of")) || bytes.Contains(text, []byte("another")) {
		t.Fatalf("%s %v", text, err)
	}
	rec, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	call, missing, err := rec.Request()
	if err != nil || fmt.Sprint(missing) != "[chunk request_body]" || len(call.Chunk) != 17 || !call.HasResponseBody || !rec.Call.Chunk.Fits([]byte("a piece of a body")) {
		t.Errorf("missing %v, %v, chunk %q", missing, err, call.Chunk)
	}
	if _, ok := rec.Asks[0].Bytes.Bytes(); ok || rec.Asks[0].Bytes.Size != 12 {
		t.Errorf("answer %+v", rec.Asks[0].Bytes)
	}
}

// Calls that ended well leave nothing; those that reached no handler are only counted; one plugin cannot fill the box.
func TestWhichCallsAreRecorded(t *testing.T) {
	r, dir, _ := newTest(t, nil)
	ok := failing(t, dispatch.OK, nil)
	r.Asked(ok, &wire.Ask{Fn: pdk.AskNodeGetMemoryStats}, &wire.Answer{})
	r.After(ok)
	for code, sent := range map[dispatch.Code]bool{
		dispatch.Overloaded: true, dispatch.NotReady: true, dispatch.BreakerOpen: false, dispatch.Quarantined: false, dispatch.TooLarge: false,
	} {
		c := failing(t, code, errors.New("no"))
		c.Sent = sent
		r.After(c)
	}
	for range 100 * perSecond {
		r.After(failing(t, dispatch.HandlerError, errBoom))
	}
	other := failing(t, dispatch.Closed, errors.New("gone"))
	other.Instance.Record.Name = "../other"
	r.After(other)
	finish(t, r)
	s := r.Stats()
	if s.NotSent != 5 || s.Recorded < perSecond+1 || s.Limited == 0 || s.Recorded+s.Limited+s.Dropped != 100*perSecond+1 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
	list := files(t, dir)
	if uint64(len(list)) != s.Recorded {
		t.Errorf("%d files, %+v", len(list), s)
	}
	found := false
	for _, f := range list {
		found = found || strings.Contains(f, "----other-access-closed-")
	}
	if !found && s.Dropped == 0 {
		t.Errorf("no recording of the other plugin: %v", list)
	}
}

func TestRate(t *testing.T) {
	r := &Recorder{buckets: map[string]*bucket{}}
	now := time.Unix(1, 0)
	count := func(seconds float64) (n int) {
		now = now.Add(time.Duration(seconds * float64(time.Second)))
		for range 3 * perSecond {
			if r.allowed("p", now) {
				n++
			}
		}
		return n
	}
	if a, b, c, d := count(0), count(0), count(0.5), count(100); a != perSecond || b != 0 || c != perSecond/2 || d != perSecond {
		t.Errorf("%d %d %d %d", a, b, c, d)
	}
}

// A writer that is behind, or a queue of too many bytes, drops recordings, and tells so now and then.
func TestDrops(t *testing.T) {
	log := &logged{}
	r := &Recorder{opts: Options{Logger: slog.New(slog.NewTextHandler(log, nil))}, queue: make(chan file, 2)}
	for range 6 {
		r.put(file{"x", make([]byte, 10)})
	}
	if s := r.Stats(); s.Dropped != 4 || r.queued.Load() != 20 || strings.Count(log.String(), "drops recordings") != 3 {
		t.Errorf("%+v, %d bytes, %s", s, r.queued.Load(), log)
	}
	<-r.queue
	r.put(file{"x", make([]byte, queueBytes)})
	if s := r.Stats(); s.Dropped != 5 || len(r.queue) != 1 {
		t.Errorf("%+v, %d in the queue", s, len(r.queue))
	}
}

// A call without questions costs a recorder no memory, and one with questions only what is used again.
func TestSuccessDoesNotAllocate(t *testing.T) {
	r, _, _ := newTest(t, nil)
	c := failing(t, dispatch.OK, nil)
	ask, answer := &wire.Ask{Fn: pdk.AskClientLoadConsumer, Args: [][]byte{raw(t, "ada"), raw(t, true)}}, &wire.Answer{Value: raw(t, "x")}
	if n := testing.AllocsPerRun(200, func() { _ = r.Before(c); r.After(c) }); n != 0 {
		t.Errorf("%v allocations without questions", n)
	}
	if raceEnabled {
		return // the race detector makes pools forget
	}
	if n := testing.AllocsPerRun(200, func() { r.Asked(c, ask, answer); r.After(c) }); n != 0 {
		t.Errorf("%v allocations with a question", n)
	}
}

// A transcript is bounded in questions and bytes, and says how many it leaves out.
func TestTranscriptBounds(t *testing.T) {
	tr := &transcript{}
	big := &wire.Answer{Value: raw(t, make([]byte, 30<<10))}
	for range 4 {
		tr.add(&wire.Ask{Fn: pdk.AskClientLoadConsumer}, big)
	}
	tr.add(&wire.Ask{Fn: pdk.AskRequestGetRawBody}, &wire.Answer{Bytes: make([]byte, 1<<20), IsBytes: true})
	if len(tr.asked) != 3 || tr.leftOut != 2 || len(tr.buf) > transcriptBytes {
		t.Errorf("%d kept, %d left out, %d bytes", len(tr.asked), tr.leftOut, len(tr.buf))
	}
	tr = &transcript{}
	for range transcriptAsks + 5 {
		tr.add(&wire.Ask{Fn: pdk.AskNodeGetMemoryStats}, &wire.Answer{})
	}
	if len(tr.asked) != transcriptAsks || tr.leftOut != 5 {
		t.Errorf("%d kept, %d left out", len(tr.asked), tr.leftOut)
	}
}

// Many requests at once: run with -race.
func TestManyAtOnce(t *testing.T) {
	r, dir, _ := newTest(t, nil)
	calls := make([]*dispatch.Call, 400)
	for i := range calls {
		calls[i] = failing(t, dispatch.HandlerError, errBoom)
		calls[i].Instance.Record.Name = fmt.Sprint("p", i%40)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for _, c := range calls[i*50 : i*50+50] {
				r.Asked(c, &wire.Ask{Fn: pdk.AskNodeGetMemoryStats}, &wire.Answer{Value: []byte{0xc0}})
				r.After(c)
			}
		})
	}
	wg.Wait()
	finish(t, r)
	if s := r.Stats(); s.Recorded+s.Dropped != 400 || int(s.Recorded) != len(files(t, dir)) || s.Recorded == 0 {
		t.Errorf("%+v, %d files", s, len(files(t, dir)))
	}
	r.After(failing(t, dispatch.HandlerError, errBoom)) // closed: dropped
}
