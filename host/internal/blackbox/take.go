package blackbox

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// maxBody is the largest body whose bytes are recorded.
const maxBody = 1 << 20

// taking writes one call down.
type taking struct {
	*redactor
	bodies bool
}

// take makes the recording of a call that has failed. It shares no memory with the call once it is encoded.
func (r *Recorder) take(c *dispatch.Call) *Recording {
	configured := r.opts.SecretNames()
	t := taking{newRedactor(namesOf(r.opts.Redact, configured), c), r.opts.Bodies}
	rec := &Recording{
		Version: Version, Time: c.Start.UTC(), Gateway: Gateway{r.opts.Gateway, r.opts.Node},
		Failure: t.failure(c), Plugin: t.plugin(c.Instance, r.opts.Origin), Call: t.call(c), Asks: []Ask{},
	}
	rec.Config, rec.Secrets = t.config(c.Instance.Record)
	if kept, _ := c.Transcript.(*transcript); kept != nil {
		for i := range kept.asked {
			rec.Asks = append(rec.Asks, t.ask(kept, &kept.asked[i]))
		}
		rec.AsksLeftOut = kept.leftOut
	}
	if o := c.Outcome; o.Err != nil || len(o.Ops) > 0 || o.HasBody {
		rec.Outcome = t.outcome(o)
	}
	return rec
}

func (t taking) failure(c *dispatch.Call) Failure {
	f := Failure{Code: c.Code.String(), Error: t.text(c.Err.Error()), DurationMS: float64(c.Duration.Microseconds()) / 1000}
	switch {
	case c.FailedOpen:
		f.Effect = "fail mode open: the request went on without it"
	case c.Phase == pdk.PhaseLog:
		f.Effect = "the log entry of this plugin is lost"
	default:
		f.Effect = "fail mode closed"
	}
	var crossed *wire.Error
	if errors.As(c.Err, &crossed) {
		f.Detail = t.text(crossed.Detail)
	}
	return f
}

func (t taking) plugin(in *plan.Instance, origin func(*plan.Instance) Origin) Plugin {
	o := origin(in)
	p := Plugin{
		Name: in.Record.Name, Version: o.Version, Record: in.Record.ID, InstanceName: in.Record.InstanceName,
		Server: o.Server, Carrier: o.Carrier, SDK: o.SDK, MayAuthenticate: in.Authenticates || !in.FailsOpen(),
	}
	if in.Code != "" && in.Code != in.Record.Name {
		p.Name, p.RecordName = in.Code, in.Record.Name
	}
	return p
}

// config is the configuration without its secrets, and where they stand: what the schema or the name of a setting calls one. References to secrets
// stay as they were written.
func (t taking) config(p *entity.Plugin) (config json.RawMessage, secrets []string) {
	var walk func(written, effective any, at []string) any
	walk = func(written, effective any, at []string) any {
		switch w := written.(type) {
		case map[string]any:
			m, e := make(map[string]any, len(w)), asMap(effective)
			for k := range w {
				m[k] = walk(w[k], e[k], append(slices.Clone(at), k))
			}
			return m
		case []any:
			list, e := make([]any, len(w)), asList(effective)
			for i := range w {
				var of any
				if i < len(e) {
					of = e[i]
				}
				list[i] = walk(w[i], of, append(slices.Clone(at), strconv.Itoa(i)))
			}
			return list
		case string:
			if effective != any(w) { // a reference
				secrets = append(secrets, strings.Join(at, "."))
				return w
			}
			if w != "" && (slices.Contains(p.Secrets, w) || secretPlace(t.names, at)) {
				secrets = append(secrets, strings.Join(at, "."))
				return mark(len(w))
			}
			return t.text(w)
		}
		return written
	}
	raw, err := plain(walk(asAny(p.Config), asAny(p.Effective()), nil))
	if err != nil { // of a configuration that was JSON when the instance got it
		return json.RawMessage("{}"), nil
	}
	slices.Sort(secrets)
	return raw, secrets
}

// secretPlace reports whether the name of a setting, or of one around it, says that it is a secret.
func secretPlace(n names, at []string) bool { return slices.ContainsFunc(at, n.setting) }

// asAny is a configuration as encoding/json would have read it, whatever slices and maps it is made of.
func asAny(config map[string]any) any {
	if config == nil {
		return map[string]any{}
	}
	return general(config)
}

func general(v any) any {
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Map:
		m := make(map[string]any, rv.Len())
		for it := rv.MapRange(); it.Next(); {
			m[it.Key().String()] = general(it.Value().Interface())
		}
		return m
	case reflect.Slice:
		list := make([]any, rv.Len())
		for i := range list {
			list[i] = general(rv.Index(i).Interface())
		}
		return list
	}
	return v
}

func asMap(v any) map[string]any { m, _ := v.(map[string]any); return m }
func asList(v any) []any         { l, _ := v.([]any); return l }

func (t taking) call(c *dispatch.Call) Call {
	sent := c.Request
	f := sent.Facts
	out := Call{
		Phase: c.Phase.String(), TimeoutMS: sent.TimeoutMS, RequestID: f.RequestID, StartTime: f.StartTime,
		Request: Request{
			Method: f.Request.Method, Scheme: f.Request.Scheme, Host: Text(f.Request.Host), Port: f.Request.Port, HTTPVersion: f.Request.HTTPVersion,
			Target: t.target(f.Request.Target), Path: t.Text(f.Request.Path), Query: t.query(f.Request.RawQuery), Headers: t.headers(f.Request.Headers),
		},
		Client: Client(f.Client),
		Route:  t.entity(f.Route), Service: t.entity(f.Service), Consumer: t.entity(f.Consumer),
		Shared: t.values(f.Shared), Private: t.values(sent.Plugin),
		Chunk: t.body(sent.Chunk, sent.HasChunk), Last: sent.Last,
		RequestBody: t.body(sent.RequestBody, sent.HasRequestBody), ResponseBody: t.body(sent.ResponseBody, sent.HasResponseBody),
	}
	if f.Credential != nil {
		out.Credential = t.credential(f.Credential.Doc)
	}
	if w := f.Forwarded; w.Set {
		out.Forwarded = &Forwarded{Scheme: Text(w.Scheme), Host: Text(w.Host), Port: w.Port, Path: t.target(w.Path)}
		if w.HasPrefix {
			prefix := t.Text(w.Prefix)
			out.Forwarded.Prefix = &prefix
		}
	}
	if s := f.TLS; s.Set {
		out.TLS = &TLS{s.Version, s.Cipher, s.ClientVerify, s.HasCertificate}
	}
	for _, g := range f.Groups {
		out.Groups = append(out.Groups, [2]Text{Text(g.ID), Text(g.Name)})
	}
	for _, group := range f.Captures.Unnamed {
		out.Captures = append(out.Captures, t.Text(group))
	}
	for _, group := range f.Captures.Named {
		out.NamedCaptures = append(out.NamedCaptures, Line{Text(group.Name), t.header(group.Name, group.Value)})
	}
	if f.HasResponse {
		out.Response = &Response{f.Response.Status, t.headers(f.Response.Headers), uint8(f.Response.Source)}
	}
	if f.HasServiceResponse {
		out.ServiceResponse = &Response{f.ServiceResponse.Status, t.headers(f.ServiceResponse.Headers), 0}
	}
	return out
}

func (t taking) entity(e *wire.Entity) *Value {
	if e == nil {
		return nil
	}
	v := t.raw(e.Doc, false)
	return &v
}

func (t taking) values(list []wire.SharedValue) map[string]Value {
	if len(list) == 0 {
		return nil
	}
	m := make(map[string]Value, len(list))
	for i := range list {
		m[strings.Clone(list[i].Key)] = t.raw(list[i].Value, t.secret(list[i].Key))
	}
	return m
}

// body is a body as the settings want it: only its size and sum, or its bytes as far as they are no secrets.
func (t taking) body(b []byte, has bool) *Body {
	if !has {
		return nil
	}
	body := outlineOf(b)
	if t.bodies && len(b) <= maxBody {
		body.put([]byte(t.text(string(b))))
	}
	return body
}

func (t taking) ask(kept *transcript, q *asked) Ask {
	sent, answer, err := kept.read(q)
	if err != nil { // we have encoded it ourselves
		return Ask{Function: "unknown", Error: &Error{wire.CodeBadData, err.Error()}}
	}
	out := Ask{Function: askName(sent.Fn), Number: uint16(sent.Fn), Prefetched: q.prefetched}
	kind := t.sensitivity(&sent)
	for i, raw := range sent.Args {
		out.Args = append(out.Args, t.raw(raw, kind.arg(i)))
	}
	switch {
	case q.err != nil:
		out.Error = &Error{q.err.Code, t.text(q.err.Message)}
	case q.isBody:
		out.Bytes = t.body(q.body, true)
	case q.isBytes && kind.answer:
		out.Bytes = bodyOf([]byte(mark(len(answer))))
	case q.isBytes:
		out.Bytes = bodyOf([]byte(t.text(string(answer))))
	case len(answer) == 0: // null
	case kind.credential:
		out.Value = t.credential(answer)
	default:
		v := t.raw(answer, kind.answer)
		out.Value = &v
	}
	return out
}

// sensitivity says what of a question and its answer is secret.
type sensitivity struct {
	args       int // arguments from this one on; 0: none
	answer     bool
	credential bool // the answer is a credential
}

func (s sensitivity) arg(i int) bool { return s.args > 0 && i >= s.args }

func (r *redactor) sensitivity(a *wire.Ask) sensitivity {
	first := ""
	if len(a.Args) > 0 {
		first, _ = valueOf(a.Args[0]).V.(string)
	}
	switch a.Fn {
	case pdk.AskVaultGet, pdk.AskVaultUpdate:
		return sensitivity{answer: true}
	case pdk.AskClientLoadCredential: // the kind, then the key
		return sensitivity{args: 1, credential: true}
	case pdk.AskNginxGetVar:
		return sensitivity{answer: r.variable(first)}
	case pdk.AskCacheGet:
		return sensitivity{answer: r.secret(first)}
	}
	return sensitivity{}
}

// askName is the first function that puts a question.
func askName(fn wire.AskFn) string {
	for i := range pdk.Functions {
		if pdk.Functions[i].Ask == uint16(fn) && fn != 0 {
			return pdk.Functions[i].Name
		}
	}
	return "unknown"
}

// openly takes everything as it is.
func openly() taking { return taking{&redactor{names: names{none: true}}, true} }

// OutcomeOf spells an outcome as it is, secrets included; nil for an empty one.
func OutcomeOf(o *wire.Outcome) *Outcome {
	if o.Err == nil && len(o.Ops) == 0 && !o.HasBody {
		return nil
	}
	return openly().outcome(o)
}

// AskOf spells a question as it is, secrets included.
func AskOf(a *wire.Ask) Ask {
	out := Ask{Function: askName(a.Fn), Number: uint16(a.Fn)}
	for _, raw := range a.Args {
		out.Args = append(out.Args, openly().raw(raw, false))
	}
	return out
}

func (t taking) outcome(o *wire.Outcome) *Outcome {
	out := &Outcome{Body: t.body(o.Body, o.HasBody)}
	if o.Err != nil {
		out.Error = &Error{o.Err.Code, t.text(o.Err.Message)}
	}
	for i := range o.Ops {
		out.Operations = append(out.Operations, t.operation(&o.Ops[i]))
	}
	return out
}

func (t taking) operation(op *wire.Op) Operation {
	secret, lines := t.operationSecret(op)
	out := Operation{Function: opName(op.Code), Number: uint16(op.Code), Name: t.Text(op.Name), Status: op.Status, Mode: op.Mode}
	if op.Code == wire.OpServiceRequestSetRawQuery {
		out.Name = t.query(op.Name)
	}
	for _, v := range op.Values {
		if lines {
			out.Values = append(out.Values, t.header(op.Name, v))
		} else {
			out.Values = append(out.Values, t.Text(v))
		}
	}
	if len(op.Headers) > 0 {
		out.Headers = t.headers(op.Headers)
	}
	out.Body = t.body(op.Body, op.HasBody || op.Body != nil)
	if op.Value != nil {
		v := t.raw(op.Value, secret)
		out.Value = &v
	}
	if op.Credential != nil {
		out.Credential = t.credential(op.Credential)
	}
	return out
}

// operationSecret says whether the value of an operation is a secret, and whether it is the value of a header.
func (r *redactor) operationSecret(op *wire.Op) (secret, header bool) {
	switch op.Code {
	case pdk.OpCtxSharedSet, pdk.OpCtxPluginSet, pdk.OpLogSetSerializeValue:
		return r.secret(op.Name), false
	case wire.OpServiceRequestSetHeader, wire.OpServiceRequestAddHeader, wire.OpResponseSetHeader, wire.OpResponseAddHeader:
		return r.secret(op.Name), true
	case wire.OpServiceSetTLSCertKey:
		return !r.none, false
	}
	return false, false
}

func opName(code wire.OpCode) string {
	if f := pdk.FunctionOfOp(uint16(code)); f != nil {
		return f.Name
	}
	return "unknown"
}

// fileName orders files by time and says what is in them.
func fileName(rec *Recording, number uint64) string {
	safe := func(s string) string {
		s = strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
				return c
			}
			return '-'
		}, s)
		return s[:min(len(s), 60)]
	}
	at := rec.Time.Truncate(time.Microsecond).Format("20060102T150405.000000Z")
	return at + "-" + safe(rec.Plugin.Name) + "-" + safe(rec.Call.Phase) + "-" + safe(rec.Failure.Code) + "-" + strconv.FormatUint(number, 10) + suffix
}
