// Package prefetch learns what the handlers of an instance ask the gateway, phase by phase, so that the answers can travel with the calls.
//
//	prefetch.go  what an instance asks
//	score.go     when an answer travels, and when it stops
//
// Nothing here knows the answers: who calls a handler ships them and says what became of them.
package prefetch

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Bounds of what travels with one call.
const (
	MaxBytes = 64 << 10       // of all answers
	MaxItem  = wire.ChunkSize // of one answer
)

// Bounds of what is remembered for one phase.
const (
	maxQuestions = 2 * wire.MaxPrefetched
	maxArgs      = 256 // bytes of the arguments of a question
)

// Memory is what the handlers of one instance ask. It may be used by many calls at once.
type Memory struct {
	phases [pdk.PhaseCount]questions
	// eager ships whatever was asked once, and never stops.
	eager bool
}

// Eager is a Memory for tests: it ships whatever was asked once, and never stops.
func Eager() *Memory { return &Memory{eager: true} }

// questions of one phase. The list is never changed: a change is a new list.
type questions struct {
	list atomic.Pointer[[]*Question]
	mu   sync.Mutex // held to put another list in the place of one
}

// Question is one that a handler asks, with its arguments.
type Question struct {
	Ask   wire.Ask
	eager bool
	score
}

// May reports whether the answer to a question may travel ahead of it: it depends on nothing but the request and what plugins have done to it.
func May(a *wire.Ask) bool {
	switch a.Fn {
	case pdk.AskRequestGetRawBody, pdk.AskServiceResponseGetRawBody, pdk.AskResponseGetRawBody, pdk.AskLogSerialize, pdk.AskClientTLSGetFullClientCertificateChain:
		return len(a.Args) == 0
	case pdk.AskNginxGetVar:
		return len(a.Args) == 1 && len(a.Args[0]) <= maxArgs && !ofNow(a.Args[0])
	}
	return false
}

// clocks are the variables that say what time it is.
var clocks = [][]byte{encoded("msec"), encoded("request_time"), encoded("time_iso8601")}

func encoded(text string) []byte {
	raw, err := wire.AppendValue(nil, text)
	if err != nil {
		panic(err) // text is a value
	}
	return raw
}

func ofNow(arg []byte) bool {
	return slices.ContainsFunc(clocks, func(c []byte) bool { return bytes.Equal(c, arg) })
}

// Known lists what handlers have asked in a phase. Nobody may change the list. A nil memory knows nothing.
func (m *Memory) Known(phase pdk.Phase) []*Question {
	if m == nil {
		return nil
	}
	if list := m.phases[phase.Index()].list.Load(); list != nil {
		return *list
	}
	return nil
}

// Asked finds a question that a handler has asked, and remembers a new one. It copies what it keeps. It is nil for a question that May refuses, and
// while there is no room for another one. A nil memory remembers nothing.
func (m *Memory) Asked(phase pdk.Phase, a *wire.Ask) *Question {
	if m == nil || !May(a) {
		return nil
	}
	if q := find(m.Known(phase), a); q != nil {
		return q
	}
	of := &m.phases[phase.Index()]
	of.mu.Lock()
	defer of.mu.Unlock()
	known := m.Known(phase)
	if q := find(known, a); q != nil {
		return q
	}
	list := slices.Clone(known)
	if len(list) >= maxQuestions {
		rare := slices.IndexFunc(list, (*Question).rare)
		if rare < 0 {
			return nil
		}
		list = slices.Delete(list, rare, rare+1)
	}
	q := &Question{Ask: wire.Ask{Fn: a.Fn}, eager: m.eager}
	for _, arg := range a.Args {
		q.Ask.Args = append(q.Ask.Args, bytes.Clone(arg))
	}
	list = append(list, q)
	of.list.Store(&list)
	return q
}

func find(known []*Question, a *wire.Ask) *Question {
	for _, q := range known {
		if q.Ask.Fn == a.Fn && slices.EqualFunc(q.Ask.Args, a.Args, bytes.Equal) {
			return q
		}
	}
	return nil
}
