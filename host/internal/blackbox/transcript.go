package blackbox

import (
	"slices"
	"sync"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Bounds of the transcript of one call.
const (
	transcriptBytes = 64 << 10
	transcriptAsks  = 256
)

// transcript is the questions of one running handler with their answers. Its memory is used again.
type transcript struct {
	buf     []byte // questions and answers, encoded
	asked   []asked
	leftOut int
}

// asked is one question: buf[from:ask] is the question, buf[ask:to] its answer.
type asked struct {
	from, ask, to int
	isBytes       bool
	body          []byte // the answer is a body: it is the request's, and stays until the call has ended
	isBody        bool
	prefetched    bool
	err           *wire.Error
}

var transcripts = sync.Pool{New: func() any { return new(transcript) }}

func (t *transcript) add(a *wire.Ask, answer *wire.Answer) {
	size := 16
	for _, arg := range a.Args {
		size += len(arg)
	}
	isBody := answer.IsBytes && asksBody(a.Fn)
	if !isBody {
		size += len(answer.Bytes) + len(answer.Value)
	}
	if len(t.asked) >= transcriptAsks || len(t.buf)+size > transcriptBytes {
		t.leftOut++
		return
	}
	q := asked{from: len(t.buf), isBytes: answer.IsBytes, isBody: isBody, err: answer.Err}
	t.buf = wire.AppendAsk(t.buf, a)
	q.ask = len(t.buf)
	if isBody {
		q.body = answer.Bytes
	} else {
		t.buf = append(append(t.buf, answer.Bytes...), answer.Value...)
	}
	q.to = len(t.buf)
	t.asked = append(t.asked, q)
}

// ahead puts the answers in front that travelled with the call, as far as the handler may have used them.
func (t *transcript) ahead(c *dispatch.Call) {
	asked := len(t.asked)
	for i := range c.Request.Prefetched {
		p := &c.Request.Prefetched[i]
		if c.Outcome.Unused>>i&1 != 0 {
			continue
		}
		before := len(t.asked)
		t.add(&wire.Ask{Fn: p.Fn, Args: p.Args}, &p.Answer)
		if len(t.asked) > before {
			t.asked[before].prefetched = true
		}
	}
	t.asked = slices.Concat(t.asked[asked:], t.asked[:asked])
}

func asksBody(fn wire.AskFn) bool {
	return fn == pdk.AskRequestGetRawBody || fn == pdk.AskServiceResponseGetRawBody || fn == pdk.AskResponseGetRawBody
}

// read is a question and its answer as it crossed the wire; what it borrows is the transcript's.
func (t *transcript) read(q *asked) (sent wire.Ask, answer []byte, err error) {
	sent, err = wire.DecodeAsk(t.buf[q.from:q.ask])
	return sent, t.buf[q.ask:q.to], err
}

// end gives the memory back.
func (t *transcript) end() {
	clear(t.asked)
	t.buf, t.asked, t.leftOut = t.buf[:0], t.asked[:0], 0
	transcripts.Put(t)
}
