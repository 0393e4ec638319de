package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// sent is a request on its way.
type sent struct {
	fault *fault
	place *place
	way   string
	token string
	size  int // of the response body that it asks for
	exit  int // of the body that a plugin is to answer with; -1: none
	body  []byte
	head  []byte // of the message
	rest  []byte // the body as it is framed
	at    time.Time
	// of HTTP/1.0; HEAD; read slowly; with a body that the client never got to send; of a client that may be taken for gone
	old, headOnly, slowly, unsent, gone bool
}

// verdict of an answer.
type verdict uint8

const (
	right   verdict = iota
	exited          // the answer of a plugin in place of the upstream
	policy          // the answer of a fail mode: right while the plugin server is away
	unlucky         // no gateway could have given another one: see tally.unluckies
	wrong
	crossed
)

// judge says what an answer is, and why when it is wrong or crossed. broken is why its body could not be read to the end.
func judge(s *sent, resp *http.Response, body []byte, broken error) (verdict, string) {
	token, f := resp.Header.Get("X-Token"), s.fault
	if token != "" && token != s.token {
		return crossed, "got the answer to " + token
	}
	if said := resp.Header.Get("X-Crossed"); said != "" {
		return crossed, "a plugin saw another request: " + said
	}
	if v, why := judgePlugins(s, resp, body, broken); v != right {
		return v, why
	}
	switch server := s.place.failed(resp.StatusCode); {
	case server != nil && !s.headOnly && string(body) != server.failBody():
		return wrong, fmt.Sprintf("got status %d of %s with the body %.100q", resp.StatusCode, server.name, body)
	case server != nil && f.truncated && server == s.place.body:
		return right, "" // its handler could not read the body
	case server != nil:
		return policy, server.name
	case s.exit >= 0:
		return judgeExit(s, resp, body, broken)
	case f.body && resp.StatusCode == http.StatusBadGateway:
		return unlucky, ""
	case resp.Header.Get("X-Unasked") != "":
		return unlucky, ""
	case s.unsent:
		return wrong, fmt.Sprintf("got status %d before its body was asked for", resp.StatusCode)
	case !slices.Contains(f.statuses, resp.StatusCode):
		return wrong, fmt.Sprintf("got status %d, expected %v: %.200q", resp.StatusCode, f.statuses, body)
	case resp.StatusCode != http.StatusOK:
		return right, ""
	case token == "":
		return wrong, "got 200 without a token"
	case s.old && len(resp.TransferEncoding) > 0:
		return wrong, "got chunks over HTTP/1.0"
	}
	return judgeBody(s, resp, body, broken)
}

// judgeBody is about the body that the upstream sent.
func judgeBody(s *sent, resp *http.Response, body []byte, broken error) (verdict, string) {
	want := bodyOf(s.token, s.size)
	if s.fault.name == "echo" {
		want = s.body
	}
	var late net.Error
	switch {
	case s.headOnly:
		return right, "" // the next answer on the connection would show one
	case !bytes.HasPrefix(want, body):
		return crossed, fmt.Sprintf("the body has %d bytes that are not its own", len(body))
	case broken != nil && s.gone:
		return right, ""
	case broken != nil && s.fault.truncated && !(errors.As(broken, &late) && late.Timeout()):
		return right, ""
	case broken != nil:
		return wrong, fmt.Sprintf("the body broke off after %d of %d bytes: %v", len(body), len(want), broken)
	case s.fault.truncated:
		return wrong, fmt.Sprintf("the body looks whole, with %d bytes", len(body))
	case len(body) != len(want):
		return wrong, fmt.Sprintf("the body looks whole with %d of %d bytes", len(body), len(want))
	}
	if s.fault.name == "trailers" {
		got := resp.Trailer.Get("X-Trailer-Token")
		if got != "" && got != s.token {
			return crossed, "the trailer is that of " + got
		}
		if got == "" && !s.old && s.place.body == nil {
			return wrong, "the trailer is missing"
		}
	}
	return right, ""
}

// judgePlugins is about the marks that plugins leave on both sides of the exchange. Each has to be that of this request, and after 200 all have to be there.
func judgePlugins(s *sent, resp *http.Response, body []byte, broken error) (verdict, string) {
	upstreams := s.exit < 0 && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusSwitchingProtocols)
	mark := func(name, want string) (verdict, string) {
		switch values := resp.Header.Values(name); {
		case len(values) == 0 && upstreams:
			return wrong, "got the answer of the upstream without the header " + name
		case len(values) > 1 || len(values) == 1 && values[0] != want:
			return crossed, fmt.Sprintf("the header %s is %q, expected %q", name, values, want)
		}
		return right, ""
	}
	for _, p := range s.place.tokens {
		for _, name := range []string{"X-Checked-", "X-Up-Seen-"} {
			if v, why := mark(name+p.name, s.token); v != right {
				return v, why
			}
		}
	}
	if p := s.place.body; p != nil {
		if v, why := mark("X-Up-Sum-"+p.name, digest(s.body)); v != right {
			return v, why
		}
		if broken == nil && !s.headOnly && resp.StatusCode == http.StatusOK {
			return mark("X-Digest-"+p.name, digest(body))
		}
	}
	return right, ""
}

// judgeExit is about a request that a plugin is to answer.
func judgeExit(s *sent, resp *http.Response, body []byte, broken error) (verdict, string) {
	want := bodyOf(s.token, s.exit)
	switch {
	case resp.StatusCode != http.StatusForbidden:
		return wrong, fmt.Sprintf("got status %d, expected 403 of the plugin: %.200q", resp.StatusCode, body)
	case resp.Header.Get("X-Token") == "":
		return wrong, "got 403 without a token"
	case s.headOnly:
	case !bytes.HasPrefix(want, body):
		return crossed, fmt.Sprintf("the plugin's body has %d bytes that are not its own", len(body))
	case broken != nil || len(body) != len(want):
		return wrong, fmt.Sprintf("the plugin's body ends after %d of %d bytes: %v", len(body), len(want), broken)
	}
	return exited, ""
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
