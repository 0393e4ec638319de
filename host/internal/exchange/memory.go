package exchange

import (
	"errors"

	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// ErrNoMemory says that the bodies in memory of the whole gateway have reached their bound.
var ErrNoMemory = errors.New("the bodies in memory have reached max_bodies_in_memory")

// CodeNoMemory is the code of an answer to a handler that asked for a body for which there is no room.
const CodeNoMemory = "overloaded"

// noMemory is ErrNoMemory as the answer to a question.
var noMemory = &wire.Error{Code: CodeNoMemory, Message: ErrNoMemory.Error()}

// Hold takes room for n bytes that the exchange keeps in memory; it is given back when the exchange ends. The error is a *wire.Error with
// CodeNoMemory.
func (e *Exchange) Hold(n int) error {
	if !e.Bodies.Take(n) {
		return noMemory
	}
	e.held += max(n, 0)
	return nil
}

// Held is how much room the exchange has taken.
func (e *Exchange) Held() int { return e.held }

// Drop gives room back of which the exchange has no more use.
func (e *Exchange) Drop(n int) {
	n = min(n, e.held)
	e.held -= n
	e.Bodies.Give(n)
}

// DropAll gives all room back. The exchange must not keep bodies any more.
func (e *Exchange) DropAll() { e.Drop(e.held) }

// HoldLog takes room for what a detached exchange keeps for the log phase: what clients, services and plugins can make large of it.
func (e *Exchange) HoldLog() error {
	f := &e.Facts
	n := e.serializedBytes + e.spanBytes + len(f.Request.Target) + local.SharedSize(f.Shared)
	for _, headers := range [][]wire.Header{f.Request.Headers, f.Response.Headers, f.ServiceResponse.Headers} {
		for i := range headers {
			n += len(headers[i].Name) + len(headers[i].Value)
		}
	}
	for i := range e.privates {
		n += local.SharedSize(e.privates[i].values)
	}
	return e.Hold(n)
}

// holdBodies takes room for the bodies that operations bring.
func (e *Exchange) holdBodies(ops []wire.Op) error {
	n := 0
	for i := range ops {
		n += len(ops[i].Body)
	}
	if e.Hold(n) != nil {
		return ErrNoMemory
	}
	return nil
}
