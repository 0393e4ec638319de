package grpc

import (
	"bytes"

	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// detach copies what m still shares with the call and may change: the caller may be gone before m is sent, and its memory in use for something else. Documents
// of entities and arguments of prefetched answers never change.
func detach(m *pluginv1.Call) {
	detachValues(m.Shared)
	detachValues(m.Plugin)
	detachAnswers(m.Prefetched)
	for _, s := range m.Steps {
		detachValues(s.Plugin)
		detachAnswers(s.Prefetched)
	}
	for _, b := range []*pluginv1.Blob{m.Chunk, m.RequestBody, m.ResponseBody} {
		if in, ok := b.GetContent().(*pluginv1.Blob_Inline); ok {
			in.Inline = bytes.Clone(in.Inline)
		}
	}
}

func detachValues(values []*pluginv1.KeyValue) {
	for _, kv := range values {
		kv.Value = bytes.Clone(kv.Value)
	}
}

func detachAnswers(answers []*pluginv1.Prefetched) {
	for _, a := range answers {
		a.Bytes, a.Value = bytes.Clone(a.Bytes), bytes.Clone(a.Value)
	}
}

// around is about what one part of a message takes beside its content, in bytes.
const around = 8

// sizeOf is about how many bytes a call takes.
func sizeOf(c *wire.Call) int {
	n := 512 + len(c.Request.Target) + len(c.Request.Path) + len(c.Request.RawQuery)
	for _, hs := range [][]wire.Header{c.Request.Headers, c.Response.Headers, c.ServiceResponse.Headers, c.Captures.Named} {
		for i := range hs {
			n += len(hs[i].Name) + len(hs[i].Value) + around
		}
	}
	n += sizeOfValues(c.Shared) + sizeOfValues(c.Plugin) + sizeOfAnswers(c.Prefetched)
	for i := range c.Rest {
		s := &c.Rest[i]
		n += 4*around + sizeOfValues(s.Plugin) + sizeOfAnswers(s.Prefetched) + len(s.Trace.Parent) + len(s.Trace.State)
	}
	for _, b := range [][]byte{c.Chunk, c.RequestBody, c.ResponseBody} {
		if len(b) <= wire.ChunkSize {
			n += len(b)
		}
	}
	if c.Credential != nil {
		n += len(c.Credential.Doc)
	}
	return n
}

func sizeOfValues(values []wire.SharedValue) (n int) {
	for i := range values {
		n += len(values[i].Key) + len(values[i].Value) + around
	}
	return n
}

func sizeOfAnswers(answers []wire.Prefetched) (n int) {
	for i := range answers {
		a := &answers[i]
		n += len(a.Answer.Bytes) + len(a.Answer.Value) + around
		for _, arg := range a.Args {
			n += len(arg) + around
		}
	}
	return n
}
