package local

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// vector is one handler call; proto/vectors/pdk/README.md says what the fields mean. Values stay as encoding/json reads them, numbers
// as json.Number, until valueOf turns them into Go's.
type vector struct {
	Name    string
	Phase   string
	Facts   vectorFacts
	Node    vectorNode
	Untyped bool
	Calls   []vectorCall
	Late    []vectorCall
	Asks    []vectorAsk
	Returns any
	Body    any
	Ops     [][]any
	Logs    []any
}

type vectorCall struct {
	Fn    string
	Args  []any
	Error string
	// Result is empty when it is not compared.
	Result json.RawMessage
}

type vectorAsk struct {
	Ask   wire.AskFn
	Args  []any
	Value any
	Error []string
}

type vectorNode struct {
	TrustedCIDRs []netip.Prefix `json:"trusted_cidrs"`
	LogLevel     uint8          `json:"log_level"`
	MaxBody      *int           `json:"max_body"`
	MaxShared    *int           `json:"max_shared"`
}

type vectorResponse struct {
	Status  int
	Headers *[][2]any
	Source  wire.Source
}

type vectorFacts struct {
	Request struct {
		Method, Scheme, Host string
		Port                 int
		HTTPVersion          int `json:"http_version"`
		Target               string
		Path                 any
		Headers              [][2]any
		RawQuery             any `json:"raw_query"`
	}
	Client struct {
		ForwardedIP   string `json:"forwarded_ip"`
		ForwardedPort int    `json:"forwarded_port"`
		Trusted       bool
	}
	Forwarded *struct {
		Scheme, Host, Path, Prefix any
		Port                       int
	}
	Route, Service, Consumer, Credential map[string]any
	Captures                             struct {
		Unnamed []any
		Named   map[string]any
	}
	Shared          map[string]any
	Response        *vectorResponse
	ServiceResponse *vectorResponse `json:"service_response"`
	Chunk           any
	Last            bool
	RequestBody     any `json:"request_body"`
	ResponseBody    any `json:"response_body"`
}

func decodeJSON(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

func TestVectors(t *testing.T) {
	files, err := filepath.Glob("../../proto/vectors/pdk/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	ran, left := 0, 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all struct{ Vectors []vector }
		if err := decodeJSON(raw, &all); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, v := range all.Vectors {
			if v.Untyped {
				left++
				continue
			}
			ran++
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json")+": "+v.Name, func(t *testing.T) { runVector(t, &v) })
		}
	}
	t.Logf("%d vectors; %d left out, which need arguments of wrong types", ran, left)
	if ran < 180 {
		t.Errorf("only %d vectors", ran)
	}
}

func runVector(t *testing.T, v *vector) {
	r := newTester()
	r.node = Node{
		ID: "6f8b0c5e-0000-4000-8000-000000000001", Hostname: "gw", Trusted: v.Node.TrustedCIDRs, LogLevel: v.Node.LogLevel, MaxBody: 1 << 20, MaxShared: 64 << 10,
	}
	if v.Node.MaxBody != nil {
		r.node.MaxBody = *v.Node.MaxBody
	}
	if v.Node.MaxShared != nil {
		r.node.MaxShared = *v.Node.MaxShared
	}
	v.fill(t, r)
	var levels []uint8
	host := &vectorHost{t: t, asks: v.Asks, log: func(level uint8, message string) {
		levels = append(levels, level)
		r.host.Log(level, message)
	}}
	phase := pdk.PhaseAccess
	for code := uint8(1); code <= 6; code++ {
		if p := pdk.PhaseFromCode(code); p.String() == v.Phase {
			phase = p
		}
	}
	var kong *pdk.PDK
	fails := ""
	handle := func(k *pdk.PDK) {
		kong = k
		for i := range v.Calls {
			if code := makeCall(t, k, &v.Calls[i]); code != "" {
				fails = code
				if i != len(v.Calls)-1 {
					t.Errorf("%s fails the handler: it must be the last call", v.Calls[i].Fn)
				}
			}
		}
	}
	h := handlers(phase, func(k *pdk.PDK) error { handle(k); return nil })
	if phase == pdk.PhaseBodyFilter {
		h.BodyFilter = func(k *pdk.PDK, _ []byte, _ bool) ([]byte, error) {
			handle(k)
			body, _ := valueOf(t, v.Returns).([]byte)
			return body, nil
		}
	}
	r.call.Facts, r.call.Phase = r.facts, phase.Code()
	s := Begin(&r.call, &r.node, host)
	defer s.Release()
	var out wire.Outcome
	s.Run(h, &out)
	for i := range v.Late {
		makeCall(t, kong, &v.Late[i])
	}
	if len(host.asks) > 0 {
		t.Errorf("%d questions were not put", len(host.asks))
	}
	if fails != "" {
		if out.Err == nil || out.Err.Code != fails {
			t.Errorf("the outcome has error %v; expected %s", out.Err, fails)
		}
		return
	}
	if out.Err != nil {
		t.Fatalf("the handler failed: %v", out.Err)
	}
	compareOps(t, out.Ops, v.Ops)
	switch {
	case v.Body == nil && out.HasBody:
		t.Errorf("the outcome has the body %q; expected none", out.Body)
	case v.Body != nil:
		compare(t, "body", out.Body, v.Body)
	}
	if len(levels) != len(v.Logs) {
		t.Fatalf("log %v %q; expected %v", levels, r.host.lines, v.Logs)
	}
	for i, expected := range v.Logs {
		line, both := expected.([]any)
		if !both {
			line = []any{expected, r.host.lines[i]}
		}
		compare(t, "log", []any{int64(levels[i]), r.host.lines[i]}, line)
	}
}

// vectorHost answers the questions of one vector.
type vectorHost struct {
	t    *testing.T
	asks []vectorAsk
	log  func(uint8, string)
}

func (h *vectorHost) Log(level uint8, message string) { h.log(level, message) }

func (h *vectorHost) Ask(a *wire.Ask) wire.Answer {
	if len(h.asks) == 0 || h.asks[0].Ask != a.Fn {
		h.t.Errorf("question %d was not expected", a.Fn)
		return wire.Answer{}
	}
	ask := h.asks[0]
	h.asks = h.asks[1:]
	args := []any{}
	for _, raw := range a.Args {
		v, err := wire.DecodeValue(raw)
		if err != nil {
			h.t.Error(err)
		}
		args = append(args, v)
	}
	compare(h.t, "args of a question", args, ask.Args)
	if ask.Error != nil {
		return wire.Answer{Err: &wire.Error{Code: ask.Error[0], Message: ask.Error[1]}}
	}
	value := valueOf(h.t, ask.Value)
	if b, ok := value.([]byte); ok {
		return wire.Answer{Bytes: b, IsBytes: true}
	}
	return wire.Answer{Value: encoded(h.t, value)}
}

func encoded(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := encodeValue(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// fill lays the facts of a vector over those of a tester.
func (v *vector) fill(t *testing.T, r *tester) {
	f, given, req := r.facts, &v.Facts, &v.Facts.Request
	text := func(spelt any) string { s, _ := valueOf(t, spelt).(string); return s }
	lines := func(given [][2]any) []wire.Header {
		hs := []wire.Header{}
		for _, l := range given {
			hs = append(hs, wire.Header{Name: l[0].(string), Value: text(l[1])})
		}
		return hs
	}
	f.Request.Headers = lines(req.Headers)
	if req.Method != "" {
		f.Request.Method = req.Method
	}
	if req.HTTPVersion != 0 {
		f.Request.HTTPVersion = req.HTTPVersion
	}
	if req.Target != "" {
		r.target(req.Target)
	}
	if req.Path != nil {
		f.Request.Path = text(req.Path)
	}
	if req.RawQuery != nil {
		f.Request.RawQuery = text(req.RawQuery)
	}
	if c := given.Client; c.ForwardedIP != "" {
		f.Client.ForwardedIP, f.Client.ForwardedPort, f.Client.Trusted = c.ForwardedIP, c.ForwardedPort, c.Trusted
	}
	if w := given.Forwarded; w != nil {
		f.Forwarded = wire.Forwarded{Set: true, Scheme: text(w.Scheme), Host: text(w.Host), Port: w.Port, Path: text(w.Path), Prefix: text(w.Prefix), HasPrefix: w.Prefix != nil}
	}
	entity := func(fields map[string]any) *wire.Entity {
		if fields == nil {
			return nil
		}
		e := &wire.Entity{Doc: encoded(t, valueOf(t, fields))}
		Adopt(e)
		return e
	}
	f.Route, f.Service, f.Consumer = entity(given.Route), entity(given.Service), entity(given.Consumer)
	if given.Credential != nil {
		f.Credential = &wire.Entity{Doc: encoded(t, valueOf(t, given.Credential))}
	}
	for _, group := range given.Captures.Unnamed {
		f.Captures.Unnamed = append(f.Captures.Unnamed, text(group))
	}
	for name, group := range given.Captures.Named {
		f.Captures.Named = append(f.Captures.Named, wire.Header{Name: name, Value: text(group)})
	}
	for key, value := range given.Shared {
		f.Shared = append(f.Shared, wire.SharedValue{Key: key, Value: encoded(t, valueOf(t, value))})
	}
	if w := given.Response; w != nil {
		f.HasResponse, f.Response = true, wire.Response{Status: w.Status, Headers: lines(*w.Headers), Source: w.Source}
	}
	if w := given.ServiceResponse; w != nil {
		f.HasServiceResponse, f.ServiceResponse = true, wire.Response{Status: w.Status, Headers: f.Response.Headers}
		if w.Headers != nil {
			f.ServiceResponse.Headers = lines(*w.Headers)
		}
	}
	body := func(spelt any) ([]byte, bool) { b, ok := valueOf(t, spelt).([]byte); return b, ok }
	r.call.Chunk, r.call.HasChunk = body(given.Chunk)
	r.call.Last = given.Last
	r.call.RequestBody, r.call.HasRequestBody = body(given.RequestBody)
	r.call.ResponseBody, r.call.HasResponseBody = body(given.ResponseBody)
}

// makeCall calls one function of the PDK. fails is the code with which a read without an error result fails the handler.
func makeCall(t *testing.T, k *pdk.PDK, c *vectorCall) (fails string) {
	t.Helper()
	dot := strings.LastIndexByte(c.Fn, '.')
	namespace, name := c.Fn[:dot], c.Fn[dot+1:]
	holder := reflect.ValueOf(k).Elem().FieldByNameFunc(func(n string) bool { return strings.EqualFold(n, plainName(namespace)) })
	var method reflect.Value
	for i := range holder.NumMethod() {
		if strings.EqualFold(holder.Type().Method(i).Name, plainName(name)) {
			method = holder.Method(i)
		}
	}
	where := fmt.Sprintf("%s(%v)", c.Fn, c.Args)
	results := method.Call(arguments(t, where, method.Type(), c.Args))
	if n := len(results); n > 0 && method.Type().Out(n-1) == reflect.TypeFor[error]() {
		err, _ := results[n-1].Interface().(error)
		results = results[:n-1]
		var pe *pdk.Error
		switch {
		case err == nil && c.Error != "":
			t.Errorf("%s should be refused as %s", where, c.Error)
		case err != nil && (!errors.As(err, &pe) || pe.Code != c.Error || pe.Function != c.Fn):
			t.Errorf("%s: %v; expected error %q", where, err, c.Error)
		}
		if err != nil {
			return ""
		}
	} else if c.Error != "" {
		return c.Error
	}
	if len(c.Result) == 0 {
		return ""
	}
	var expected any
	if err := decodeJSON(c.Result, &expected); err != nil {
		t.Fatal(err)
	}
	var found any
	if len(results) > 0 {
		found = results[0].Interface()
	}
	if len(results) == 2 && !results[1].Bool() {
		found = nil
	}
	compare(t, where, found, expected)
	return ""
}

func plainName(name string) string { return strings.NewReplacer(".", "", "_", "").Replace(name) }

// arguments gives a method its arguments; optional ones that are left out have the values that say so.
func arguments(t *testing.T, where string, method reflect.Type, given []any) []reflect.Value {
	t.Helper()
	fixed := method.NumIn()
	if method.IsVariadic() {
		fixed--
	}
	var args []reflect.Value
	for i := range fixed {
		var spelt any
		if i < len(given) {
			spelt = given[i]
		}
		args = append(args, argument(t, where, method.In(i), valueOf(t, spelt), i < len(given)))
	}
	if !method.IsVariadic() {
		return args
	}
	rest := given[min(fixed, len(given)):]
	item := method.In(fixed).Elem()
	if item.Kind() == reflect.String && len(rest) == 1 { // header values: one, or a list
		if list, isList := rest[0].([]any); isList {
			rest = list
		}
	}
	for _, spelt := range rest {
		args = append(args, argument(t, where, item, valueOf(t, spelt), true))
	}
	return args
}

func argument(t *testing.T, where string, want reflect.Type, value any, given bool) reflect.Value {
	t.Helper()
	v := reflect.New(want).Elem()
	switch p := v.Addr().Interface().(type) {
	case *int:
		*p = -1
		if n, ok := value.(int64); ok {
			*p = int(n)
		} else if given {
			t.Fatalf("%s: %v is no int: the vector is untyped", where, value)
		}
	case *any:
		*p = value
	case **pdk.Consumer:
		if m, ok := value.(map[string]any); ok {
			*p = consumerOf(m)
		}
	case **pdk.Credential:
		if m, ok := value.(map[string]any); ok {
			*p = pdk.CredentialOf(m)
		}
	case *map[string][]string:
		for name, list := range asMap(value) {
			if *p == nil {
				*p = map[string][]string{}
			}
			(*p)[name] = []string{}
			for _, item := range list.([]any) {
				(*p)[name] = append((*p)[name], item.(string))
			}
		}
	case *map[string][]pdk.QueryValue:
		*p = map[string][]pdk.QueryValue{}
		for name, list := range asMap(value) {
			(*p)[name] = nil
			for _, item := range list.([]any) {
				text, isText := item.(string)
				(*p)[name] = append((*p)[name], pdk.QueryValue{Text: text, Bare: !isText})
			}
		}
	default:
		if value != nil {
			v.Set(reflect.ValueOf(value))
		}
	}
	return v
}

func asMap(value any) map[string]any { m, _ := value.(map[string]any); return m }

// valueOf is what a vector spells, with Go's types.
func valueOf(t *testing.T, spelt any) any {
	t.Helper()
	switch s := spelt.(type) {
	case json.Number:
		if n, err := s.Int64(); err == nil {
			return n
		}
		f, err := s.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return f
	case []any:
		list := make([]any, len(s))
		for i := range s {
			list[i] = valueOf(t, s[i])
		}
		return list
	case map[string]any:
		if len(s) == 1 {
			if v, ok := special(t, s); ok {
				return v
			}
		}
		m := make(map[string]any, len(s))
		for k := range s {
			m[k] = valueOf(t, s[k])
		}
		return m
	}
	return spelt
}

func special(t *testing.T, s map[string]any) (any, bool) {
	t.Helper()
	for key, v := range s {
		text, _ := v.(string)
		switch key {
		case "hex", "text":
			b, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			if key == "text" {
				return string(b), true
			}
			return append([]byte{}, b...), true
		case "int":
			n, _ := new(big.Int).SetString(text, 10)
			if n.IsInt64() {
				return n.Int64(), true
			}
			return n.Uint64(), true
		}
	}
	return nil, false
}

// compare compares what Go has with what a vector spells.
func compare(t *testing.T, where string, found, expected any) {
	t.Helper()
	if m, ok := expected.(map[string]any); ok {
		if want, ok := m["json"]; ok {
			var got any
			if err := decodeJSON([]byte(fmt.Sprintf("%s", found)), &got); err != nil {
				t.Errorf("%s: %q is no JSON: %v", where, found, err)
				return
			}
			compare(t, where, valueOf(t, got), want)
			return
		}
		if fields, ok := m["fields"].(map[string]any); ok {
			got := fieldsOf(t, found)
			for name, want := range fields {
				compare(t, where+"."+name, got[name], want)
			}
			return
		}
		if truncated, ok := m["truncated"]; ok {
			comparePairs(t, where, found, m, truncated)
			return
		}
	}
	got, want := spelling(found), spelling(valueOf(t, expected))
	if got != want {
		t.Errorf("%s: found %s, expected %s", where, got, want)
	}
}

func comparePairs(t *testing.T, where string, found any, expected map[string]any, truncated any) {
	t.Helper()
	pairs := []any{}
	cut := false
	switch m := found.(type) {
	case pdk.MultiMap:
		cut = m.Truncated()
		for name, value := range m.All() {
			pairs = append(pairs, []any{name, value})
		}
	case pdk.Query:
		cut = m.Truncated()
		for name, value := range m.All() {
			pairs = append(pairs, []any{name, value})
		}
	default:
		t.Errorf("%s: found %T", where, found)
	}
	if cut != truncated {
		t.Errorf("%s: truncated is %v", where, cut)
	}
	if size, ok := expected["size"]; ok {
		compare(t, where, int64(len(pairs)), size)
		return
	}
	compare(t, where, pairs, expected["pairs"])
}

// fieldsOf are the fields of an entity as the wire has them.
func fieldsOf(t *testing.T, found any) map[string]any {
	t.Helper()
	switch e := found.(type) {
	case map[string]any:
		return e
	case *pdk.Credential:
		return e.Map()
	}
	raw, err := json.Marshal(found)
	var m map[string]any
	if err == nil {
		err = decodeJSON(raw, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return asMap(valueOf(t, m))
}

// spelling writes a value so that equal values have equal texts: numbers by value, maps in order of key, bytes unlike text.
func spelling(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if utf8.ValidString(v) {
			return fmt.Sprintf("%q", v)
		}
		return fmt.Sprintf("text %x", v)
	case []byte:
		return fmt.Sprintf("bytes %x", v)
	case float64:
		return new(big.Float).SetFloat64(v).Text('g', 40)
	case int:
		return spelling(int64(v))
	case int64:
		return new(big.Float).SetInt64(v).Text('g', 40)
	case uint64:
		return new(big.Float).SetUint64(v).Text('g', 40)
	case pdk.QueryValue:
		if v.Bare {
			return "true"
		}
		return spelling(v.Text)
	case pdk.Captures:
		return spelling(map[string]any{"unnamed": v.Unnamed, "named": v.Named})
	}
	rv := reflect.ValueOf(v)
	switch rv.Kind() {
	case reflect.Pointer:
		if rv.IsNil() {
			return "null"
		}
	case reflect.Slice:
		parts := make([]string, rv.Len())
		for i := range parts {
			parts[i] = spelling(rv.Index(i).Interface())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		parts := map[string]string{}
		for it := rv.MapRange(); it.Next(); {
			parts[spelling(it.Key().String())] = spelling(it.Value().Interface())
		}
		return fmt.Sprint(parts) // fmt sorts the keys
	}
	return fmt.Sprint(v)
}

// compareOps compares operations with their form on the wire.
func compareOps(t *testing.T, found []wire.Op, expected [][]any) {
	t.Helper()
	if len(found) != len(expected) {
		t.Fatalf("%d operations %+v; expected %d", len(found), found, len(expected))
	}
	for i := range found {
		got := travels(t, &found[i])
		if len(got) != len(expected[i]) {
			t.Errorf("operation %d is %v; expected %v", i, got, expected[i])
			continue
		}
		for j := range got {
			compare(t, fmt.Sprintf("operation %d at %d", i, j), got[j], expected[i][j])
		}
	}
}

// travels is an operation as docs/wire.md section 6 has it.
func travels(t *testing.T, op *wire.Op) []any {
	t.Helper()
	value := func(raw []byte) any {
		if raw == nil {
			return nil
		}
		v, err := wire.DecodeValue(raw)
		if err != nil {
			t.Errorf("operation %d: %v", op.Code, err)
		}
		return v
	}
	flat := []string{}
	for _, h := range op.Headers {
		flat = append(flat, h.Name, h.Value)
	}
	code := int64(op.Code)
	switch uint16(op.Code) {
	case pdk.OpServiceRequestSetHeader, pdk.OpServiceRequestAddHeader, pdk.OpResponseSetHeader, pdk.OpResponseAddHeader:
		return []any{code, op.Name, op.Values}
	case pdk.OpServiceRequestEnableBuffering:
		return []any{code}
	case pdk.OpServiceRequestSetRawBody, pdk.OpResponseSetRawBody:
		return []any{code, op.Body}
	case pdk.OpResponseSetStatus:
		return []any{code, op.Status}
	case pdk.OpResponseExit:
		if !op.HasBody {
			return []any{code, op.Status, nil, flat}
		}
		return []any{code, op.Status, op.Body, flat}
	case pdk.OpResponseError:
		if !op.HasBody {
			return []any{code, op.Status, nil, flat}
		}
		return []any{code, op.Status, op.Name, flat}
	case pdk.OpClientAuthenticate:
		return []any{code, value(op.Value), value(op.Credential)}
	case pdk.OpCtxSharedSet:
		return []any{code, op.Name, value(op.Value)}
	case pdk.OpLogSetSerializeValue:
		return []any{code, op.Name, value(op.Value), op.Mode}
	}
	return []any{code, op.Name}
}
