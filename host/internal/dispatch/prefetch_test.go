package dispatch

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/prefetch"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// ahead is a plugin server that answers questions from what travelled with the call, as the SDKs do.
type ahead struct {
	takes bool
	// handler uses ask, which asks the host when nothing travelled.
	handler func(ask func(*wire.Ask) wire.Answer, out *wire.Outcome) error
	// What the last call was like.
	shipped []wire.Prefetched
	trips   int
}

func (a *ahead) Prefetches() bool { return a.takes }

func (a *ahead) Call(c *wire.Call, _ time.Time, asker wire.Asker, out *wire.Outcome) error {
	a.shipped, a.trips = append([]wire.Prefetched(nil), c.Prefetched...), 0
	used := uint32(0)
	err := a.handler(func(q *wire.Ask) wire.Answer {
		for i, p := range c.Prefetched {
			if p.Fn == q.Fn && len(p.Args) == len(q.Args) && (len(p.Args) == 0 || bytes.Equal(p.Args[0], q.Args[0])) {
				used |= 1 << i
				return p.Answer
			}
		}
		a.trips++
		return asker.Answer(q)
	}, out)
	out.Unused = (1<<len(c.Prefetched) - 1) &^ used
	return err
}

// handBody is a message whose bodies are there, or not.
type handBody struct {
	live
	there bool
}

func (h *handBody) RequestBodyAtHand() bool  { return h.there }
func (h *handBody) ResponseBodyAtHand() bool { return h.there }

// asking is an instance on a server that takes answers, with a message whose bodies are there.
func (b *bench) asking(a *ahead) (*exchange.Exchange, *handBody) {
	in := instance("x", nil, func(in *plan.Instance) { in.Remote, in.Prefetcher, in.Prefetch = a, a, new(prefetch.Memory) })
	ex := b.exchange(in)
	live := &handBody{live: live{body: []byte("body")}, there: true}
	ex.Live = live
	return ex, live
}

func name(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := wire.AppendValue(nil, text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAnswersTravel(t *testing.T) {
	b := newBench(t)
	asks := []*wire.Ask{{Fn: pdk.AskRequestGetRawBody}, {Fn: pdk.AskNginxGetVar, Args: [][]byte{name(t, "request_method")}}, {Fn: pdk.AskNginxGetVar, Args: [][]byte{name(t, "msec")}}}
	var got []wire.Answer
	a := &ahead{takes: true, handler: func(ask func(*wire.Ask) wire.Answer, _ *wire.Outcome) error {
		got = got[:0]
		for _, q := range asks {
			got = append(got, ask(q))
		}
		return nil
	}}
	ex, live := b.asking(a)
	b.RunAccess(ex)
	if a.trips != 3 || len(a.shipped) != 0 {
		t.Fatalf("the first call: %d questions, %v travelled", a.trips, a.shipped)
	}
	first := append([]wire.Answer(nil), got...)
	for range 20 {
		b.RunAccess(ex)
	}
	if a.trips != 1 || len(a.shipped) != 2 {
		t.Fatalf("%d questions, %v travelled; expected those of the body and the method to travel, and the time to be asked", a.trips, a.shipped)
	}
	for i := range first[:2] {
		if string(got[i].Bytes) != string(first[i].Bytes) || got[i].IsBytes != first[i].IsBytes || string(got[i].Value) != string(first[i].Value) {
			t.Errorf("question %d: %+v, asked it was %+v", i, got[i], first[i])
		}
	}

	live.there = false // the rest of the body is under way
	b.RunAccess(ex)
	if a.trips != 2 || len(a.shipped) != 1 || a.shipped[0].Fn != pdk.AskNginxGetVar {
		t.Errorf("a body that is not there: %d questions, %v travelled", a.trips, a.shipped)
	}
	live.there = true

	live.err = &wire.Error{Code: wire.CodeBadData, Message: "too large"}
	b.RunAccess(ex)
	if got[0].Err == nil || len(a.shipped) != 1 {
		t.Errorf("an error: the handler got %+v, %v travelled", got[0], a.shipped)
	}
	live.err = nil

	for range 20 {
		b.RunAccess(ex)
	}
	asks = nil
	for range 40 {
		b.RunAccess(ex)
	}
	if len(a.shipped) != 0 {
		t.Errorf("nobody asks any more, and %v travelled", a.shipped)
	}
}

// Answers travel only to servers that take them, and what a large answer was is asked for.
func TestAnswersThatDoNotTravel(t *testing.T) {
	b := newBench(t)
	body := &wire.Ask{Fn: pdk.AskRequestGetRawBody}
	a := &ahead{handler: func(ask func(*wire.Ask) wire.Answer, _ *wire.Outcome) error { ask(body); return nil }}
	ex, live := b.asking(a)
	many := func() {
		for range 40 {
			b.RunAccess(ex)
			if len(a.shipped) > 0 {
				return
			}
		}
	}
	if many(); len(a.shipped) > 0 {
		t.Error("answers travelled to a server that does not take them")
	}
	a.takes = true
	if many(); len(a.shipped) != 1 {
		t.Error("no answer travelled")
	}
	live.body = make([]byte, prefetch.MaxItem+1)
	b.RunAccess(ex)
	if many(); len(a.shipped) > 0 {
		t.Errorf("%d bytes travelled", len(a.shipped[0].Answer.Bytes))
	}

	// A handler that fails says nothing about what it would have asked.
	live.body = []byte("body")
	many()
	a.handler = func(_ func(*wire.Ask) wire.Answer, out *wire.Outcome) error {
		out.Err = &wire.Error{Code: wire.CodeHandlerError, Message: "no"}
		return nil
	}
	for range 100 {
		b.RunAccess(ex)
		ex.Answer = exchange.Answer{}
	}
	a.handler = func(func(*wire.Ask) wire.Answer, *wire.Outcome) error { return errors.New("the lane died") }
	for range 100 {
		b.RunAccess(ex)
		ex.Answer = exchange.Answer{}
	}
	if len(a.shipped) != 1 {
		t.Error("calls that failed have made it forget")
	}
}

// All answers of a call together are bounded, in number and in size.
func TestAnswersAreBounded(t *testing.T) {
	b := newBench(t)
	var asks []*wire.Ask
	for i := range 20 {
		asks = append(asks, &wire.Ask{Fn: pdk.AskNginxGetVar, Args: [][]byte{name(t, "http_h"+string(rune('a'+i)))}})
	}
	a := &ahead{takes: true, handler: func(ask func(*wire.Ask) wire.Answer, _ *wire.Outcome) error {
		for _, q := range asks {
			ask(q)
		}
		return nil
	}}
	ex, _ := b.asking(a)
	for range 20 {
		b.RunAccess(ex)
	}
	if len(a.shipped) != wire.MaxPrefetched || a.trips != len(asks)-wire.MaxPrefetched {
		t.Errorf("%d answers travelled, %d were asked for", len(a.shipped), a.trips)
	}
	for i := range asks {
		ex.Facts.Request.Headers = append(ex.Facts.Request.Headers, wire.Header{Name: "H" + string(rune('a'+i)), Value: string(make([]byte, 20<<10))})
	}
	b.RunAccess(ex)
	size := 0
	for _, p := range a.shipped {
		size += len(p.Answer.Bytes)
	}
	if len(a.shipped) != 3 || size > prefetch.MaxBytes {
		t.Errorf("%d answers of %d bytes travelled", len(a.shipped), size)
	}
}
