package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// kind is a sort of request: where it goes and what stands in its way.
type kind struct {
	name string
	path string
	deny bool // X-Deny: 1: the gate is to answer 403
	body int  // bytes of the request's body

	gate     chainStep
	bodies   chainStep
	response chainStep
}

// reaches says whether handlers of the phase run for such requests. What is denied in access has no upstream, and so no response phase.
func (k *kind) reaches(phase string) bool {
	switch phase {
	case "rewrite":
		return true
	case "response":
		return k.response.present()
	case "body_filter":
		return k.bodies.present() && !k.deny
	}
	return k.gate.present()
}

// chainStep is an instance of a plugin in the chain of a route. Without a name there is none.
type chainStep struct {
	instance   string
	open       bool   // fail mode
	failStatus int    // of fail mode closed; 0: the gateway's own answer
	failBody   string // likewise
}

func (c chainStep) present() bool { return c.instance != "" }
func (c chainStep) closed() bool  { return c.present() && !c.open }

// rewriteInstance is the only global one. It fails open: what fails closed in rewrite stands in the way of every route.
const rewriteInstance = "rewrite"

// Instances of the routes. The letter of a body filter is the first one of its instance.
var (
	closedGate     = chainStep{instance: "closed-gate"}
	openGate       = chainStep{instance: "open-gate", open: true}
	closedBody     = chainStep{instance: "closed-body"}
	openBody       = chainStep{instance: "open-body", open: true}
	closedResponse = chainStep{instance: "closed-response", failStatus: 502, failBody: "out of order\n"}
)

// kinds of requests; the load takes them in turn.
var kinds = []kind{
	{name: "pass", path: "/closed", gate: closedGate},
	{name: "open", path: "/open", gate: openGate, bodies: openBody},
	{name: "deny", path: "/closed", deny: true, gate: closedGate},
	{name: "body", path: "/body", bodies: closedBody},
	{name: "post", path: "/closed", body: 20_000, gate: closedGate},
	{name: "response", path: "/response", response: closedResponse},
	{name: "open, denied", path: "/open", deny: true, gate: openGate, bodies: openBody},
}

// request is one request of the load.
type request struct {
	kind  *kind
	nonce string
	order string // X-Chaos; empty: none
}

// payload is the body of the request: every request has another one.
func (r *request) payload() []byte {
	return bytes.Repeat([]byte(r.nonce+" "), r.kind.body/(len(r.nonce)+1))
}

// answer is what came back.
type answer struct {
	status int // 0: no head
	header http.Header
	body   []byte
	err    error // why the answer is not complete
}

// verdict of an answer.
type verdict uint8

const (
	right  verdict = iota // the plugins' own answer
	policy                // what the fail mode promises
	wrong
)

// placeholder is what body filters replace in the upstream's body; unfiltered is the line that holds it.
const placeholder = "????????"

// judge says what an answer is, and for a wrong one why. It does not know whether a fault was on: that an answer of the fail mode came
// without a fault is for the row to notice.
func judge(r request, a answer) (verdict, string) {
	k := r.kind
	switch {
	case a.status == 0:
		return wrong, fmt.Sprintf("no answer: %v", a.err)
	case a.err != nil:
		return judgeCut(r, a)
	case a.status == http.StatusOK:
		return judgeServed(r, a)
	case a.status == http.StatusForbidden && k.deny:
		return judgeDenied(r, a)
	case k.response.failStatus != 0 && a.status == k.response.failStatus:
		if string(a.body) != k.response.failBody {
			return wrong, fmt.Sprintf("status %d with the body %q, expected %q", a.status, a.body, k.response.failBody)
		}
		return policy, ""
	case a.status == http.StatusInternalServerError || a.status == http.StatusServiceUnavailable:
		return judgeFailed(r, a)
	}
	return wrong, fmt.Sprintf("status %d", a.status)
}

// judgeCut is about an answer that ends early: all that is left to a body filter that fails closed once the head was sent.
func judgeCut(r request, a answer) (verdict, string) {
	whole := rightBody(r, "rewrite "+r.nonce)
	bare := rightBody(r, "-")
	if r.kind.bodies.closed() && a.status == http.StatusOK && (bytes.HasPrefix(whole, a.body) || bytes.HasPrefix(bare, a.body)) {
		return policy, ""
	}
	return wrong, fmt.Sprintf("the answer ends early: %v", a.err)
}

// judgeDenied is about the gate's own refusal.
func judgeDenied(r request, a answer) (verdict, string) {
	k := r.kind
	text := fmt.Sprintf("denied by %s %s\n", k.gate.instance, r.nonce)
	filtered := strings.ReplaceAll(text, "?", letter(k.bodies))
	if s := string(a.body); s != text && s != filtered {
		return wrong, fmt.Sprintf("denied with the body %q, expected %q", a.body, text)
	}
	return judgeHeaders(r, a, right)
}

// judgeServed is about an answer with the upstream's body.
func judgeServed(r request, a answer) (verdict, string) {
	k := r.kind
	lines := strings.Split(string(a.body), "\n")
	if len(lines) != 6 || lines[5] != "" {
		return wrong, "a body of another shape than the upstream's"
	}
	v := right
	for i, line := range lines[:5] {
		name, value, _ := strings.Cut(line, "=")
		ok, allowed := expectLine(r, name, value)
		switch {
		case ok:
		case allowed:
			v = policy
		default:
			return wrong, fmt.Sprintf("line %d of the body is %q", i+1, line)
		}
	}
	if k.deny {
		if !k.gate.open {
			return wrong, "a denied request passed the gate"
		}
		if strings.Contains(string(a.body), "access="+k.gate.instance) {
			return wrong, "a denied request passed the gate although the handler ran"
		}
	}
	return judgeHeaders(r, a, v)
}

// expectLine says whether a line of the upstream's body is what the plugins make of it, and if not, whether fail mode open explains it.
func expectLine(r request, name, value string) (ok, allowed bool) {
	k := r.kind
	switch name {
	case "nonce":
		return value == r.nonce, false
	case "rewrite":
		return value == rewriteInstance+" "+r.nonce, value == "-"
	case "access":
		if !k.gate.present() {
			return value == "-", false
		}
		if k.deny {
			return false, value == "-" && k.gate.open
		}
		return value == k.gate.instance+" "+r.nonce, value == "-" && k.gate.open
	case "body":
		return value == digest(r.payload()), false
	case "filter":
		if !k.bodies.present() {
			return value == placeholder, false
		}
		l := letter(k.bodies)
		return value == strings.Repeat(l, len(placeholder)), k.bodies.open && strings.Trim(value, l+"?") == "" && len(value) == len(placeholder)
	}
	return false, false
}

// judgeHeaders checks the marks on the response; v is what the rest is.
func judgeHeaders(r request, a answer, v verdict) (verdict, string) {
	for _, h := range []struct {
		name string
		step chainStep
	}{{"X-Chaos-Filter", r.kind.gate}, {"X-Chaos-Response", r.kind.response}} {
		values := a.header.Values(h.name)
		switch {
		case len(values) == 0 && h.step.closed():
			return wrong, fmt.Sprintf("no header %s, and the plugin fails closed", h.name)
		case len(values) == 0 && h.step.present():
			v = policy
		case len(values) == 0:
		case len(values) > 1 || !h.step.present() || values[0] != h.step.instance+" "+r.nonce:
			return wrong, fmt.Sprintf("header %s: %q", h.name, values)
		}
	}
	return v, ""
}

// judgeFailed is about the answer of fail mode closed: an error of the gateway that names the request, and nothing of the upstream's.
func judgeFailed(r request, a answer) (verdict, string) {
	k := r.kind
	if !k.gate.closed() && !k.bodies.closed() {
		return wrong, fmt.Sprintf("status %d on a route on which no plugin fails with it", a.status)
	}
	var e struct {
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(a.body, &e); err != nil || e.Message == "" || e.RequestID == "" || e.RequestID != a.header.Get("X-Kong-Request-Id") {
		return wrong, fmt.Sprintf("status %d with a body that is no error of the gateway", a.status)
	}
	if values := a.header.Values("X-Chaos-Filter"); len(values) > 0 && (len(values) > 1 || !k.gate.present() || values[0] != k.gate.instance+" "+r.nonce) {
		return wrong, fmt.Sprintf("status %d with the header X-Chaos-Filter %q", a.status, values)
	}
	return policy, ""
}

// rightBody is the body of a right answer, given what rewrite left.
func rightBody(r request, rewrite string) []byte {
	access, filter := "-", placeholder
	if r.kind.gate.present() {
		access = r.kind.gate.instance + " " + r.nonce
	}
	if r.kind.bodies.present() {
		filter = strings.Repeat(letter(r.kind.bodies), len(placeholder))
	}
	return upstreamBody(r.nonce, rewrite, access, digest(r.payload()), filter)
}

// upstreamBody is what the upstream answers.
func upstreamBody(nonce, rewrite, access, digest, filter string) []byte {
	return fmt.Appendf(nil, "nonce=%s\nrewrite=%s\naccess=%s\nbody=%s\nfilter=%s\n", nonce, rewrite, access, digest, filter)
}

func digest(body []byte) string { return fmt.Sprintf("%d %x", len(body), sha256.Sum256(body)) }

// letter is what a body filter puts in place of question marks.
func letter(c chainStep) string {
	if !c.present() {
		return "?"
	}
	return c.instance[:1]
}
