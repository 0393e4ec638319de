package main

import (
	"cmp"
	"io"
	"net"
	"net/http"
	"time"
)

// upstream answers with what it was sent, in the shape of upstreamBody.
type upstream struct {
	address string
	server  *http.Server
}

func startUpstream() (*upstream, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{address: ln.Addr().String(), server: &http.Server{Handler: http.HandlerFunc(reflect), ReadHeaderTimeout: time.Minute}}
	go func() { _ = u.server.Serve(ln) }() // it ends with close
	return u, nil
}

func (u *upstream) close() { _ = u.server.Close() }

func reflect(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway gave up
	}
	h := r.Header
	text := upstreamBody(h.Get("X-Nonce"), cmp.Or(h.Get("X-Chaos-Rewrite"), "-"), cmp.Or(h.Get("X-Chaos-Access"), "-"), digest(body), placeholder)
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(text) // it fails when the gateway gave up
}
