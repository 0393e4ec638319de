package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func kindNamed(t *testing.T, name string) *kind {
	t.Helper()
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	t.Fatalf("no kind of requests is named %q", name)
	return nil
}

// rightAnswer is what the plugins make of a request.
func rightAnswer(r request) answer {
	a := answer{status: 200, header: http.Header{}, body: rightBody(r, "rewrite "+r.nonce)}
	if r.kind.deny {
		a.status, a.body = 403, fmt.Appendf(nil, "denied by %s %s\n", r.kind.gate.instance, r.nonce)
	}
	if r.kind.gate.present() {
		a.header.Set("X-Chaos-Filter", r.kind.gate.instance+" "+r.nonce)
	}
	if r.kind.response.present() {
		a.header.Set("X-Chaos-Response", r.kind.response.instance+" "+r.nonce)
	}
	return a
}

// failedAnswer is what fail mode closed gives.
func failedAnswer(status int) answer {
	return answer{
		status: status, header: http.Header{"X-Kong-Request-Id": {"0123"}},
		body: []byte(`{"message":"An unexpected error occurred","request_id":"0123"}`),
	}
}

func TestJudgeRight(t *testing.T) {
	for i := range kinds {
		r := request{kind: &kinds[i], nonce: "n-1"}
		if v, why := judge(r, rightAnswer(r)); v != right {
			t.Errorf("%s: the right answer is judged %d: %s", r.kind.name, v, why)
		}
	}
}

// Each case spoils the right answer of a kind of request, or takes another in its place.
func TestJudge(t *testing.T) {
	replace := func(from, to string) func(request, *answer) {
		return func(_ request, a *answer) {
			if !bytes.Contains(a.body, []byte(from)) {
				panic("the body has no " + from)
			}
			a.body = bytes.ReplaceAll(a.body, []byte(from), []byte(to))
		}
	}
	header := func(name, value string) func(request, *answer) {
		return func(_ request, a *answer) { a.header.Set(name, value) }
	}
	without := func(name string) func(request, *answer) {
		return func(_ request, a *answer) { a.header.Del(name) }
	}
	become := func(b answer) func(request, *answer) {
		return func(_ request, a *answer) { *a = b }
	}
	cut := func(n int) func(request, *answer) {
		return func(_ request, a *answer) { a.body, a.err = a.body[:n], errors.New("unexpected EOF") }
	}
	served := func(access string) func(request, *answer) {
		return func(r request, a *answer) {
			filter := strings.Repeat(letter(r.kind.bodies), len(placeholder))
			a.status, a.body = 200, upstreamBody(r.nonce, "rewrite "+r.nonce, access, digest(r.payload()), filter)
		}
	}
	for _, c := range []struct {
		name  string
		kind  string
		spoil func(request, *answer)
		want  verdict
	}{
		{"fail mode closed", "pass", become(failedAnswer(500)), policy},
		{"overload", "pass", become(failedAnswer(503)), policy},
		{"closed body filter before the head", "body", become(failedAnswer(500)), policy},
		{"fail mode closed with an answer of its own", "response", become(answer{status: 502, header: http.Header{}, body: []byte("out of order\n")}), policy},
		{"rewrite failed open", "pass", replace("rewrite=rewrite n-1", "rewrite=-"), policy},
		{"gate failed open", "open", replace("access=open-gate n-1", "access=-"), policy},
		{"body filter failed open", "open", replace("filter=oooooooo", "filter=????????"), policy},
		{"body filter failed open for one piece", "open", replace("filter=oooooooo", "filter=oooo????"), policy},
		{"header filter failed open", "open", without("X-Chaos-Filter"), policy},
		{"a denied request passes an open gate that failed", "open, denied", served("-"), policy},
		{"closed body filter after the head", "body", cut(20), policy},
		{"closed body filter after the head, nothing else", "body", cut(0), policy},

		{"no answer", "pass", become(answer{err: errors.New("connection reset")}), wrong},
		{"a cut answer where no body filter fails closed", "pass", cut(20), wrong},
		{"a cut answer with another request's bytes", "body", func(_ request, a *answer) { a.body, a.err = []byte("nonce=n-2"), errors.New("EOF") }, wrong},
		{"another request's answer", "pass", replace("n-1", "n-2"), wrong},
		{"another request's mark", "pass", header("X-Chaos-Filter", "closed-gate n-2"), wrong},
		{"another instance's mark on the response", "pass", header("X-Chaos-Filter", "open-gate n-1"), wrong},
		{"a mark where no gate is", "body", header("X-Chaos-Filter", "closed-gate n-1"), wrong},
		{"another instance's mark at the upstream", "pass", replace("access=closed-gate", "access=open-gate"), wrong},
		{"another instance's body filter", "body", replace("filter=cccccccc", "filter=oooooooo"), wrong},
		{"a body filter on a route without", "pass", replace("filter=????????", "filter=cccccccc"), wrong},
		{"closed gate passed by", "pass", replace("access=closed-gate n-1", "access=-"), wrong},
		{"closed header filter passed by", "pass", without("X-Chaos-Filter"), wrong},
		{"closed response handler passed by", "response", without("X-Chaos-Response"), wrong},
		{"closed body filter passed by", "body", replace("filter=cccccccc", "filter=????????"), wrong},
		{"a denied request passes a closed gate", "deny", served("-"), wrong},
		{"a denied request passes a closed gate whose handler ran", "deny", served("closed-gate n-1"), wrong},
		{"a denied request passes an open gate whose handler ran", "open, denied", served("open-gate n-1"), wrong},
		{"a request that is not denied is", "pass", become(answer{status: 403, header: http.Header{}, body: []byte("denied by closed-gate n-1\n")}), wrong},
		{"denied by another instance", "deny", replace("closed-gate", "open-gate"), wrong},
		{"denied for another request", "deny", replace("n-1", "n-2"), wrong},
		{"fail mode closed on an open route", "open", become(failedAnswer(500)), wrong},
		{"another answer than that of the fail mode", "response", become(failedAnswer(500)), wrong},
		{"another body than that of the fail mode", "response", become(answer{status: 502, header: http.Header{}, body: []byte("bad gateway")}), wrong},
		{"an error of somebody else", "pass", become(failedAnswer(502)), wrong},
		{"an error that names another request", "pass", func(_ request, a *answer) { *a = failedAnswer(500); a.header.Set("X-Kong-Request-Id", "4567") }, wrong},
		{"an error with the upstream's body", "pass", func(_ request, a *answer) { a.status = 500 }, wrong},
		{"a request body that was changed", "post", replace("body=", "body=1"), wrong},
		{"an empty body", "pass", func(_ request, a *answer) { a.body = nil }, wrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request{kind: kindNamed(t, c.kind), nonce: "n-1"}
			a := rightAnswer(r)
			c.spoil(r, &a)
			if v, why := judge(r, a); v != c.want {
				t.Errorf("judged %d (%s), expected %d; the answer is %d %v %q", v, why, c.want, a.status, a.header, a.body)
			}
		})
	}
}
