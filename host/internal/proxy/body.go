package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// writeBody hands the body to fasthttp, through the body_filter chain when there is one. The request is finished when the body was written: at once
// for a small body in memory, when the stream is closed otherwise.
func (r *request) writeBody() {
	resp := &r.ctx.Response
	if r.ex.HasNewBody {
		resp.SetBodyRaw(r.ex.NewBody) // closes the upstream's stream
	}
	if r.passTunnel() {
		return
	}
	r.closeAfterUnreadBody()
	if r.bodyless() {
		r.finish()
		return
	}
	chain := r.ex.Chain(pdk.PhaseBodyFilter)
	if len(chain) > 0 && r.ex.Upstream.BufferBody && resp.IsBodyStream() {
		if _, err := r.ResponseBody(); err != nil {
			r.bufferFailed(err)
			chain = nil
		}
	}
	if !resp.IsBodyStream() {
		if len(chain) > 0 {
			r.filterMemory(chain)
		}
		r.writeMemory()
		return
	}
	resp.ImmediateHeaderFlush = true // the first piece of the body may be long in coming
	stream := resp.BodyStream().(*upstream.Body)
	if len(chain) > 0 {
		stream.ReadCloser = &filteredBody{r: r, src: stream.ReadCloser, chain: chain}
		resp.Header.SetContentLength(-1)
	}
	r.passTrailers(stream)
	stream.ReadCloser = &trackedBody{ReadCloser: stream.ReadCloser, r: r}
	if resp.Header.ContentLength() < 0 && r.head.http10 {
		r.writeUntilClose()
	}
}

// writeMemory hands a body in memory to fasthttp. A large one, of which the exchange holds the memory, goes as a stream: a client that does not read
// keeps it in memory, and so long it has to count.
func (r *request) writeMemory() {
	resp := &r.ctx.Response
	body := resp.Body()
	r.sent = int64(len(body))
	if len(body) <= wire.ChunkSize || r.ex.Held() == 0 {
		r.finish()
		return
	}
	held := &heldBody{r: r}
	held.Reset(body)
	resp.SetBodyStream(held, len(body)) // nothing else has the body: every large one was set raw
}

// heldBody is a body in memory. The request is finished when it is closed.
type heldBody struct {
	bytes.Reader
	r *request
}

func (b *heldBody) Close() error {
	if b.r != nil {
		b.r.finish()
		b.r = nil
	}
	return nil
}

// bodyless settles whether this response may carry a body, which the client's method and the final status say: the upstream may have been sent
// another method, and plugins may have changed the status. Without a body no filter runs.
func (r *request) bodyless() bool {
	resp := &r.ctx.Response
	status := resp.StatusCode()
	head := string(r.head.method) == http.MethodHead
	none := head || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
	if !none {
		if resp.SkipBody && !resp.IsBodyStream() {
			resp.Header.SetContentLength(len(resp.Body())) // the length of a body that did not come
		}
		resp.SkipBody = false
		return false
	}
	if head && !r.ex.HasNewBody && len(r.ex.Chain(pdk.PhaseBodyFilter)) > 0 {
		resp.Header.SetContentLength(-1) // nobody knows what the filters would have made of the body
	}
	resp.SkipBody = true
	if resp.IsBodyStream() || !head {
		resp.SetBodyRaw(nil) // closes the stream
	}
	if status < 200 {
		last(r.ctx, r.conn) // the client may wait for another response
	}
	return true
}

// untilClose is the connection of a client to which a stream is sent whose end is the end of the connection.
type untilClose struct{ net.Conn }

// Close cuts the stream off: a reset tells the client that something is missing.
func (c *untilClose) Close() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Conn.Close()
}

// writeUntilClose sends a stream of unknown length to a client of HTTP/1.0, which knows no chunks: its end is the end of the connection.
func (r *request) writeUntilClose() {
	ctx, conn, tunnels := r.ctx, r.conn, &r.proxy.tunnels
	taken := &untilClose{unwrapped(conn)}
	if !r.head.wire.Closes {
		leaveUnread(conn) // the client may have sent more
	}
	ctx.HijackSetNoResponse(true)
	if !tunnels.add(taken) {
		taken.Close() // nobody would wait for the end
	}
	ctx.Hijack(func(c net.Conn) {
		defer tunnels.remove(taken)
		defer conn.markBusy(false)
		h := &ctx.Response.Header
		h.Del("Transfer-Encoding")
		h.Del("Connection")    // keep-alive, when the client asked for it
		h.SetContentLength(-2) // sets Connection: close
		_, err := c.Write(h.Header())
		if err == nil {
			_, err = io.Copy(c, ctx.Response.BodyStream())
		}
		if cerr := ctx.Response.CloseBodyStream(); err == nil {
			err = cerr
		}
		if err != nil {
			taken.Close()
		}
	})
}

// bufferFailed answers when a body that a plugin needs whole cannot be had. The head has not been sent yet.
func (r *request) bufferFailed(err error) {
	status := http.StatusBadGateway
	var we *wire.Error
	if errors.As(err, &we) && we.Code == wire.CodeBadData {
		status = http.StatusInternalServerError
	}
	if we != nil && we.Code == exchange.CodeNoMemory {
		r.busy(err)
	} else {
		r.proxy.opts.Logger.Error("response body cannot be buffered", "request_id", string(r.id[:]), "error", err.Error())
		r.failHere(status)
	}
	r.answerInstead()
}

// answerInstead writes a head of the gateway's own answer over that of the response. A connection that was to be closed still is: a part of the
// request may be left in it.
func (r *request) answerInstead() {
	closes := r.ctx.Response.ConnectionClose()
	r.answer()
	r.writeHeaders()
	if closes {
		r.ctx.SetConnectionClose()
	}
}

// busy answers for a body that there is no memory for.
func (r *request) busy(err error) {
	r.proxy.opts.Logger.Warn("no memory for a body", "request_id", string(r.id[:]), "error", err.Error())
	r.failHere(http.StatusServiceUnavailable)
	r.ex.Answer.Headers = append(r.ex.Answer.Headers, wire.Header{Name: "Retry-After", Value: "1"})
}

// filterMemory filters a body that is in memory. In one piece when it was buffered for the filters, in pieces of at most 32 KiB otherwise.
func (r *request) filterMemory(chain []*plan.Step) {
	resp := &r.ctx.Response
	body := resp.Body()
	var out []byte
	for first := true; first || len(body) > 0; first = false {
		n := len(body)
		if !r.ex.Upstream.BufferBody {
			n = min(n, wire.ChunkSize)
		}
		piece, err := r.proxy.opts.Dispatcher.FilterBody(&r.ex, chain, body[:n:n], n == len(body))
		if err == nil {
			err = r.ex.Hold(len(piece))
		}
		if err != nil {
			// Nothing has been sent yet, but a header may describe the body that could not be made: close instead of a guess.
			last(r.ctx, r.conn)
			var failed *dispatch.FilterError
			if errors.As(err, &failed) {
				failed.Fail(&r.ex)
			} else {
				r.busy(err)
			}
			r.answerInstead()
			return
		}
		out = append(out, piece...)
		body = body[n:]
	}
	resp.SetBodyRaw(out)
}

// trackedBody finishes the request when its stream is closed.
type trackedBody struct {
	io.ReadCloser
	r *request
}

func (t *trackedBody) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if t.r != nil {
		t.r.sent += int64(n)
	}
	if err != nil && err != io.EOF && t.r != nil {
		leaveUnread(t.r.conn) // the end of the connection is how the client learns of it
		t.r.proxy.opts.Logger.Error("response cut off", "request_id", string(t.r.id[:]), "error", err.Error())
	}
	return n, err
}

func (t *trackedBody) Close() error {
	err := t.ReadCloser.Close()
	if t.r != nil {
		t.r.finish()
		t.r = nil
	}
	return err
}

// prefixedStream is a stream of which a part was read already.
type prefixedStream struct {
	prefix []byte
	rest   io.ReadCloser
}

func (p *prefixedStream) Read(b []byte) (int, error) {
	if len(p.prefix) > 0 {
		n := copy(b, p.prefix)
		p.prefix = p.prefix[n:]
		return n, nil
	}
	return p.rest.Read(b)
}

func (p *prefixedStream) Close() error { return p.rest.Close() }

// filteredBody runs the body_filter chain over a stream, piece by piece as they arrive, at the pace of the client.
type filteredBody struct {
	r     *request
	src   io.ReadCloser
	chain []*plan.Step
	buf   [wire.ChunkSize]byte
	out   []byte
	held  int // for out
	err   error
}

func (f *filteredBody) Read(p []byte) (int, error) {
	for len(f.out) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		n, err := f.src.Read(f.buf[:])
		if err != nil && err != io.EOF {
			f.err = fmt.Errorf("upstream's body: %w", err)
			continue
		}
		if n == 0 && err == nil {
			continue
		}
		out, ferr := f.r.proxy.opts.Dispatcher.FilterBody(&f.r.ex, f.chain, f.buf[:n], err == io.EOF)
		if ferr != nil {
			f.err = ferr
			continue
		}
		f.r.ex.Drop(f.held)
		if f.held = len(out); f.r.ex.Hold(f.held) != nil {
			f.held, f.err = 0, exchange.ErrNoMemory
			continue
		}
		f.out, f.err = out, err
	}
	n := copy(p, f.out)
	f.out = f.out[n:]
	return n, nil
}

func (f *filteredBody) Close() error { return f.src.Close() }
