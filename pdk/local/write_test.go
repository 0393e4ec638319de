package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func lines(hs []wire.Header) string {
	var b strings.Builder
	for _, h := range hs {
		b.WriteString(h.Name + ": " + h.Value + "\n")
	}
	return b.String()
}

// TestRequestHeaderWrites checks that a handler sees its own writes and that the host applies the same.
func TestRequestHeaderWrites(t *testing.T) {
	for name, c := range map[string]struct {
		before []string
		write  func(k *pdk.PDK) error
		after  string
	}{
		"SR1 set":             {nil, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-A", "1") }, "X-A: 1\n"},
		"SR2 set replaces":    {[]string{"x-a", "1", "b", "2", "X_A", "3"}, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-A", "9") }, "X-A: 9\nb: 2\n"},
		"SR3 set several":     {[]string{"x-a", "1", "b", "2"}, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-A", "a", "b") }, "X-A: a\nX-A: b\nb: 2\n"},
		"SR5 set empty":       {nil, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-A", "") }, "X-A: \n"},
		"SR6 trims":           {nil, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-A", " \t hi  ") }, "X-A: hi\n"},
		"set nothing removes": {[]string{"x-a", "1", "b", "2"}, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-A") }, "b: 2\n"},
		"SR9 add":             {[]string{"x-a", "1"}, func(k *pdk.PDK) error { return k.ServiceRequest.AddHeader("X-A", "2", "3") }, "x-a: 1\nX-A: 2\nX-A: 3\n"},
		"add nothing":         {[]string{"x-a", "1"}, func(k *pdk.PDK) error { return k.ServiceRequest.AddHeader("X-A") }, "x-a: 1\n"},
		"SR10 add Host": {[]string{"host", "gw.test"}, func(k *pdk.PDK) error {
			return errors.Join(k.ServiceRequest.AddHeader("Host", "a"), k.ServiceRequest.AddHeader("Host", "b"))
		}, "Host: b\n"},
		"set two Hosts": {[]string{"host", "gw.test"}, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("Host", "a", "b") }, "Host: b\n"},
		"SR11 clear":    {[]string{"x-a", "1", "X_A", "2", "b", "3"}, func(k *pdk.PDK) error { return k.ServiceRequest.ClearHeader("X-a") }, "b: 3\n"},
		"clear absent":  {[]string{"b", "3"}, func(k *pdk.PDK) error { return k.ServiceRequest.ClearHeader("x-a") }, "b: 3\n"},
		"SR12 set_headers": {[]string{"x-a", "1", "c", "3"}, func(k *pdk.PDK) error {
			return k.ServiceRequest.SetHeaders(map[string][]string{"X-B": {"1"}, "X-A": {}})
		}, "c: 3\nX-B: 1\n"},
		"HD9 bytes": {nil, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-A", "caf\xe9") }, "X-A: caf\xe9\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTester().headers(c.before...)
			before := lines(r.facts.Request.Headers)
			r.access(t, func(k *pdk.PDK) {
				if err := c.write(k); err != nil {
					t.Fatal(err)
				}
				if lines(r.facts.Request.Headers) != before {
					t.Error("the facts changed before the handler ended")
				}
				seen, _ := k.Request.GetHeaders(-1)
				var got []wire.Header
				for n, v := range seen.All() {
					got = append(got, wire.Header{Name: n, Value: v})
				}
				if !strings.EqualFold(lines(got), c.after) {
					t.Errorf("the handler sees %q, expected %q", lines(got), c.after)
				}
			})
			if got := lines(r.facts.Request.Headers); got != c.after {
				t.Errorf("the upstream would get %q, expected %q", got, c.after)
			}
		})
	}
}

func TestRefusedArguments(t *testing.T) {
	set := func(name string, values ...string) func(k *pdk.PDK) error {
		return func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader(name, values...) }
	}
	for name, call := range map[string]func(k *pdk.PDK) error{
		"header name empty":      set("", "1"),
		"header name with blank": set("x a", "1"),
		"header name with colon": set("x:a", "1"),
		"header name with LF":    set("x\na", "1"),
		"header name not ASCII":  set("xé", "1"),
		"header value with CRLF": set("x-a", "3\r\nX-B: 4"),
		"header value with NUL":  set("x-a", "a\x00b"),
		"second value with LF":   set("x-a", "fine", "a\nb"),
		"add":                    func(k *pdk.PDK) error { return k.ServiceRequest.AddHeader("x-a", "\n b") },
		"clear":                  func(k *pdk.PDK) error { return k.ServiceRequest.ClearHeader("") },
		"SR13 set_headers": func(k *pdk.PDK) error {
			return k.ServiceRequest.SetHeaders(map[string][]string{"X-A": {"a"}, "X-B": {"\n"}})
		},
		"SR14 method lower case":  func(k *pdk.PDK) error { return k.ServiceRequest.SetMethod("put") },
		"SR14 method unknown":     func(k *pdk.PDK) error { return k.ServiceRequest.SetMethod("FOO") },
		"SR15 scheme":             func(k *pdk.PDK) error { return k.ServiceRequest.SetScheme("ftp") },
		"SR17 path":               func(k *pdk.PDK) error { return k.ServiceRequest.SetPath("x") },
		"query with blank":        func(k *pdk.PDK) error { return k.ServiceRequest.SetRawQuery("a b") },
		"query with CRLF":         func(k *pdk.PDK) error { return k.ServiceRequest.SetRawQuery("a\r\nb") },
		"RS10 status 99":          func(k *pdk.PDK) error { return k.Response.SetStatus(99) },
		"RS10 status 600":         func(k *pdk.PDK) error { return k.Response.SetStatus(600) },
		"response header":         func(k *pdk.PDK) error { return k.Response.SetHeader("a", "b\nc") },
		"response add":            func(k *pdk.PDK) error { return k.Response.AddHeader("a b", "c") },
		"response clear":          func(k *pdk.PDK) error { return k.Response.ClearHeader("a b") },
		"response set_headers":    func(k *pdk.PDK) error { return k.Response.SetHeaders(map[string][]string{"A": {"a"}, "B": {"\n"}}) },
		"EX11 exit status":        func(k *pdk.PDK) error { return k.Response.Exit(99, nil, nil) },
		"EX11 exit with a number": func(k *pdk.PDK) error { return k.Response.Exit(200, 5, nil) },
		"EX11 exit with a func":   func(k *pdk.PDK) error { return k.Response.Exit(200, func() {}, nil) },
		"exit without JSON form":  func(k *pdk.PDK) error { return k.Response.Exit(200, map[string]any{"a": make(chan int)}, nil) },
		"EX12 exit header":        func(k *pdk.PDK) error { return k.Response.Exit(200, "", map[string][]string{"X": {"a\nb"}}) },
		"exit body too large":     func(k *pdk.PDK) error { return k.Response.Exit(200, make([]byte, 1<<20+1), nil) },
		"EX22 error status":       func(k *pdk.PDK) error { return k.Response.Error(200, "", nil) },
		"error header":            func(k *pdk.PDK) error { return k.Response.Error(500, "", map[string][]string{"X": {"a\nb"}}) },
		"CL6 authenticate":        func(k *pdk.PDK) error { return k.Client.Authenticate(nil, nil) },
		"CL10 load_consumer":      func(k *pdk.PDK) error { _, err := k.Client.LoadConsumer("bob", false); return err },
		"load_consumer empty":     func(k *pdk.PDK) error { _, err := k.Client.LoadConsumer("", true); return err },
		"load_credential":         func(k *pdk.PDK) error { _, err := k.Client.LoadCredential("", "k"); return err },
		"shared func":             func(k *pdk.PDK) error { return k.CtxShared.Set("a", func() {}) },
		"shared struct":           func(k *pdk.PDK) error { return k.CtxShared.Set("a", struct{ A int }{1}) },
		"shared int keys":         func(k *pdk.PDK) error { return k.CtxShared.Set("a", map[int]string{1: "a"}) },
		"shared too large":        func(k *pdk.PDK) error { return k.CtxShared.Set("a", strings.Repeat("x", 1000)) },
		"shared cycle": func(k *pdk.PDK) error {
			list := []any{nil}
			list[0] = list
			return k.CtxShared.Set("a", list)
		},
		"LG9 mode":      func(k *pdk.PDK) error { return k.Log.SetSerializeValue("a", 1, "x") },
		"serialize key": func(k *pdk.PDK) error { return k.Log.SetSerializeValue("", 1, "") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newTester()
			out := r.access(t, func(k *pdk.PDK) { wantKind(t, call(k), pdk.ErrArg) })
			if len(out.Ops) != 0 || len(r.host.asked) != 0 {
				t.Errorf("it left operations %v, questions %v", out.Ops, r.host.asked)
			}
		})
	}
}

func TestPathEscaping(t *testing.T) {
	for in, want := range map[string]string{
		"/x y/é":      "/x%20y/%C3%A9", // SR16
		"/fo%6F":      "/fo%6F",        // SR17
		"/a?b#c":      "/a%3Fb%23c",
		"/100%":       "/100%25",
		"/%zz%4":      "/%25zz%254",
		"/:@!$&'()*+": "/:@!$&'()*+",
		"/a\r\nb\x00": "/a%0D%0Ab%00",
		"/\"<>\\^`{}": "/%22%3C%3E%5C%5E%60%7B%7D",
	} {
		got, err := EscapePath(in)
		if err != nil || got != want {
			t.Errorf("%q is %q, %v, expected %q", in, got, err, want)
		}
		if again, _ := EscapePath(got); again != got {
			t.Errorf("escaping %q again gives %q", got, again)
		}
	}
}

func TestQueryWrites(t *testing.T) {
	text := func(s string) pdk.QueryValue { return pdk.QueryValue{Text: s} }
	bare := pdk.QueryValue{Bare: true}
	r := newTester().target("/p?old=1")
	r.access(t, func(k *pdk.PDK) {
		for _, c := range []struct {
			args map[string][]pdk.QueryValue
			want string
		}{
			{map[string][]pdk.QueryValue{"q": {text("red fox")}, "tag": {text("t2"), text("t1"), bare}, "on": {bare}, "nil_": {text("")}}, "nil_=&on&q=red%20fox&tag=t2&tag=t1&tag"}, // SR20
			{map[string][]pdk.QueryValue{"b": {}}, ""},                                                  // SR21
			{map[string][]pdk.QueryValue{"": {text("v"), bare}, "ä&": {text("=")}}, "=v&%C3%A4%26=%3D"}, // SR22
			{nil, ""},
		} {
			if err := k.ServiceRequest.SetQuery(c.args); err != nil {
				t.Fatal(err)
			}
			if got := k.Request.GetRawQuery(); got != c.want {
				t.Errorf("query is %q, expected %q", got, c.want)
			}
		}
		if err := k.ServiceRequest.SetRawQuery("a=1&b"); err != nil { // SR18
			t.Fatal(err)
		}
		if v, found := k.Request.GetQueryArg("b"); !found || !v.Bare {
			t.Error("the handler does not see the new query")
		}
		if k.Request.GetPathWithQuery() != "/p?old=1" || k.Request.GetPath() != "/p" {
			t.Error("the target as sent changed")
		}
	})
	if r.facts.Request.RawQuery != "a=1&b" || r.facts.Request.Target != "/p?old=1" {
		t.Errorf("facts: %+v", r.facts.Request)
	}
}

func TestOtherServiceRequestWrites(t *testing.T) {
	r := newTester()
	out := r.access(t, func(k *pdk.PDK) {
		if err := errors.Join(k.ServiceRequest.SetMethod("PUT"), k.ServiceRequest.SetScheme("https"), k.ServiceRequest.SetPath("/a b"), k.ServiceRequest.EnableBuffering()); err != nil {
			t.Fatal(err)
		}
		if k.Request.GetMethod() != "PUT" || k.Request.GetScheme() != "http" || k.Request.GetPath() != "/" {
			t.Error("what the handler sees of its writes")
		}
	})
	if r.facts.Request.Method != "PUT" {
		t.Errorf("method is %q", r.facts.Request.Method)
	}
	var got []string
	for _, op := range out.Ops {
		got = append(got, fmt.Sprintf("%d %s", op.Code, op.Name))
	}
	if want := []string{"4 PUT", "9 https", "5 /a%20b", "8 "}; !slices.Equal(got, want) {
		t.Errorf("operations %q", got)
	}
}

func responding() *tester {
	r := newTester()
	r.facts.HasResponse, r.facts.HasServiceResponse = true, true
	r.facts.Response = wire.Response{Status: 200, Headers: []wire.Header{{Name: "X-Up", Value: "1"}, {Name: "Vary", Value: "a"}}}
	r.facts.ServiceResponse = wire.Response{Status: 404, Headers: r.facts.Response.Headers} // one list, as the host has it
	return r
}

func TestResponse(t *testing.T) {
	r := responding()
	out := r.ok(t, pdk.PhaseResponse, func(k *pdk.PDK) {
		if err := errors.Join(
			k.Response.SetStatus(418),
			k.Response.SetHeader("a_b", "1"), // RS8
			k.Response.SetHeader("x-up", "2"),
			k.Response.AddHeader("Cache-Control", "a"),
			k.Response.AddHeader("Cache-Control", "b"), // RS4
			k.Response.ClearHeader("vary"),
			k.Response.SetHeaders(map[string][]string{"B": {"x", "y"}, "A": {"1"}}), // RS6
			k.Response.SetHeader("Transfer-Encoding", "chunked"),                    // RS7
			k.Response.AddHeader("transfer_encoding", "chunked"),
			k.Response.SetRawBody([]byte("new")),
		); err != nil {
			t.Fatal(err)
		}
		if k.Response.GetStatus() != 418 || k.Response.GetSource() != "service" {
			t.Errorf("%d from %s", k.Response.GetStatus(), k.Response.GetSource())
		}
		if status, ok := k.ServiceResponse.GetStatus(); status != 404 || !ok {
			t.Errorf("the service's status is %d", status)
		}
		if v, _ := k.Response.GetHeader("X-Up"); v != "2" {
			t.Errorf("x-up is %q", v)
		}
		if v, _ := k.ServiceResponse.GetHeader("x_up"); v != "1" {
			t.Errorf("the service's x-up is %q", v)
		}
		if all, err := k.Response.GetHeaders(1); err != nil || all.Len() != 1 || !all.Truncated() { // RS13
			t.Errorf("headers: %v %v", all, err)
		}
		if all, err := k.ServiceResponse.GetHeaders(-1); err != nil || all.Len() != 2 {
			t.Errorf("the service's headers: %v %v", all, err)
		}
	})
	if got, want := lines(r.facts.Response.Headers), "x-up: 2\na-b: 1\nCache-Control: a\nCache-Control: b\nA: 1\nB: x\nB: y\n"; got != want {
		t.Errorf("headers %q, expected %q", got, want)
	}
	if got := lines(r.facts.ServiceResponse.Headers); got != "X-Up: 1\nVary: a\n" {
		t.Errorf("the service's headers became %q", got)
	}
	if r.facts.Response.Status != 418 || len(r.host.lines) != 2 {
		t.Errorf("status %d, log %q", r.facts.Response.Status, r.host.lines)
	}
	if op := out.Ops[len(out.Ops)-1]; op.Code != pdk.OpResponseSetRawBody || string(op.Body) != "new" {
		t.Errorf("last operation %+v", op)
	}
}

func TestServiceResponseWhenNotProxied(t *testing.T) {
	r := newTester()
	r.facts.HasResponse = true
	r.facts.Response = wire.Response{Status: 403, Source: wire.SourceExit}
	r.ok(t, pdk.PhaseLog, func(k *pdk.PDK) {
		if status, ok := k.ServiceResponse.GetStatus(); ok {
			t.Errorf("status %d", status)
		}
		if all, err := k.ServiceResponse.GetHeaders(-1); err != nil || all.Len() != 0 {
			t.Errorf("headers: %v %v", all, err)
		}
		if k.Response.GetSource() != "exit" {
			t.Errorf("source %s", k.Response.GetSource())
		}
	})
}

func TestExit(t *testing.T) {
	type named struct {
		A int `json:"a"`
	}
	for name, c := range map[string]struct {
		body    any
		headers map[string][]string
		want    string
		hasBody bool
		lines   string
	}{
		"EX1 nothing":       {nil, nil, "", false, ""},
		"EX2 text":          {"hi", nil, "hi", true, ""},
		"empty text":        {"", nil, "", true, ""},
		"EX13 bytes":        {[]byte{0, 0xff}, nil, "\x00\xff", true, ""},
		"nil bytes":         {[]byte(nil), nil, "", false, ""},
		"EX3 map":           {map[string]any{"a": 1}, nil, `{"a":1}`, true, "Content-Type: application/json; charset=utf-8\n"},
		"struct":            {named{1}, nil, `{"a":1}`, true, "Content-Type: application/json; charset=utf-8\n"},
		"pointer to struct": {&named{1}, nil, `{"a":1}`, true, "Content-Type: application/json; charset=utf-8\n"},
		"list":              {[]string{"<a>"}, nil, `["<a>"]`, true, "Content-Type: application/json; charset=utf-8\n"},
		"raw JSON":          {json.RawMessage(`{"a":1}`), nil, `{"a":1}`, true, "Content-Type: application/json; charset=utf-8\n"},
		"EX4 own type":      {map[string]any{"a": 1}, map[string][]string{"Content-Type": {"x/y"}}, `{"a":1}`, true, "Content-Type: x/y\n"},
		"EX5 header":        {nil, map[string][]string{"X_A": {" b "}, "A": {"1", "2"}, "Transfer-Encoding": {"chunked"}}, "", false, "A: 1\nA: 2\nX-A: b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out := newTester().access(t, func(k *pdk.PDK) {
				if err := k.Response.Exit(200, c.body, c.headers); err != nil {
					t.Fatal(err)
				}
			})
			op := out.Ops[0]
			if op.Status != 200 || string(op.Body) != c.want || op.HasBody != c.hasBody || lines(op.Headers) != c.lines {
				t.Errorf("operation: %d %q %v %q", op.Status, op.Body, op.HasBody, lines(op.Headers))
			}
		})
	}
}

func TestErrorExit(t *testing.T) {
	out := newTester().access(t, func(k *pdk.PDK) {
		if err := k.Response.Error(503, "busy", map[string][]string{"Retry-After": {"1"}, "X-Gone": {}}); err != nil {
			t.Fatal(err)
		}
	})
	if len(out.Ops) != 2 || out.Ops[0].Code != pdk.OpResponseClearHeader || out.Ops[1].Name != "busy" || !out.Ops[1].HasBody {
		t.Errorf("operations %+v", out.Ops)
	}
	out = newTester().access(t, func(k *pdk.PDK) {
		if err := k.Response.Error(502, "", nil); err != nil {
			t.Fatal(err)
		}
	})
	if out.Ops[0].HasBody || out.Ops[0].Status != 502 {
		t.Errorf("operation %+v", out.Ops[0])
	}
}

func TestShared(t *testing.T) {
	type level int
	r := newTester()
	values := map[string]any{ // CX2, and lesson 11
		"true": true, "false": false, "int": int64(-5), "big": uint64(math.MaxUint64), "float": 1.5, "empty": "", "bytes": []byte{0, 0xff},
		"list": []any{int64(1), "a"}, "emptylist": []any{}, "map": map[string]any{"a": map[string]any{"b": nil}}, "emptymap": map[string]any{},
		"latin": "caf\xe9",
	}
	r.access(t, func(k *pdk.PDK) {
		for key, v := range values {
			if err := k.CtxShared.Set(key, v); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct{ v, want any }{ // named types and typed lists
			{level(3), int64(3)}, {[]level{1}, []any{int64(1)}}, {map[string]level{"a": 1}, map[string]any{"a": int64(1)}},
			{[]string{"a"}, []any{"a"}}, {[2]bool{true}, []any{true, false}}, {(*int)(nil), nil}, {float32(0.5), 0.5},
		} {
			if err := k.CtxShared.Set("x", c.v); err != nil {
				t.Fatal(err)
			}
			if got := k.CtxShared.Get("x"); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%#v came back as %#v", c.v, got)
			}
		}
		if err := k.CtxShared.Set("x", nil); err != nil { // CX3
			t.Fatal(err)
		}
	})
	if len(r.facts.Shared) != len(values) {
		t.Errorf("%d values are kept, expected %d", len(r.facts.Shared), len(values))
	}
	r.ok(t, pdk.PhaseLog, func(k *pdk.PDK) {
		for key, want := range values {
			if got := k.CtxShared.Get(key); !reflect.DeepEqual(got, want) {
				t.Errorf("%s is %#v, expected %#v", key, got, want)
			}
		}
		if k.CtxShared.Get("nope") != nil {
			t.Error("an unknown key has a value")
		}
	})
}

func TestSharedLimit(t *testing.T) {
	r := newTester()
	r.access(t, func(k *pdk.PDK) {
		if err := k.CtxShared.Set("a", strings.Repeat("x", 900)); err != nil {
			t.Fatal(err)
		}
		wantKind(t, k.CtxShared.Set("b", strings.Repeat("x", 100)), pdk.ErrArg)
		if err := errors.Join(k.CtxShared.Set("a", nil), k.CtxShared.Set("b", strings.Repeat("x", 900)), k.CtxShared.Set("b", strings.Repeat("y", 950))); err != nil {
			t.Errorf("room was given back: %v", err)
		}
	})
	if n := SharedSize(r.facts.Shared); n <= 950 || n > 1000 {
		t.Errorf("size is %d", n)
	}
}

func TestAuthenticate(t *testing.T) {
	r := newTester()
	out := r.access(t, func(k *pdk.PDK) {
		if k.Client.GetConsumer() != nil || k.Client.GetCredential() != nil {
			t.Error("CL2: somebody is authenticated")
		}
		consumer := &pdk.Consumer{ID: "c", Username: "bob", Tags: []string{"t"}}
		credential := &pdk.Credential{ID: "k", ConsumerID: "c", Fields: map[string]any{"key": "secret"}}
		if err := k.Client.Authenticate(consumer, credential); err != nil {
			t.Fatal(err)
		}
		consumer.ID, credential.Fields["key"] = "other", "other"
		if c := k.Client.GetConsumer(); c.ID != "c" { // CL3
			t.Errorf("consumer %+v", c)
		}
		if c := k.Client.GetCredential(); c.ID != "k" || c.Fields["key"] != "secret" {
			t.Errorf("credential %+v", c)
		}
	})
	consumer, err := NewConsumer(out.Ops[0].Value)
	if err != nil || !reflect.DeepEqual(consumer.Value, &pdk.Consumer{ID: "c", Username: "bob", Tags: []string{"t"}}) {
		t.Errorf("consumer on the wire: %+v %v", consumer, err)
	}
	credential, err := NewCredential(out.Ops[0].Credential)
	if err != nil || credential.ID != "k" {
		t.Errorf("credential on the wire: %+v %v", credential, err)
	}
	r.facts.Consumer, r.facts.Credential = consumer, credential
	r.access(t, func(k *pdk.PDK) {
		if k.Client.GetConsumer().Username != "bob" || k.Client.GetCredential().ConsumerID != "c" {
			t.Error("the next plugin does not see them")
		}
		if err := k.Client.Authenticate(nil, &pdk.Credential{ID: "k2"}); err != nil { // CL4
			t.Fatal(err)
		}
		if k.Client.GetConsumer() != nil || k.Client.GetCredential().ID != "k2" {
			t.Error("null did not clear the consumer")
		}
	})
}

func TestLoading(t *testing.T) {
	doc, err := wire.AppendValue(nil, map[string]any{"id": "c", "username": "bob", "created_at": 5, "tags": []any{"t"}, "consumer_id": "x"})
	if err != nil {
		t.Fatal(err)
	}
	r := newTester()
	r.host.answers = map[wire.AskFn]wire.Answer{wire.AskClientLoadConsumer: {Value: doc}, wire.AskClientLoadCredential: {Value: doc}}
	r.access(t, func(k *pdk.PDK) {
		c, err := k.Client.LoadConsumer("bob", true)
		if err != nil || c.Username != "bob" || c.CreatedAt != 5 || !slices.Equal(c.Tags, []string{"t"}) {
			t.Errorf("consumer %+v %v", c, err)
		}
		if _, err := k.Client.LoadConsumer("f1d2d2f9-24e9-86ac-8635-06d52d3d1f2b", false); err != nil {
			t.Error(err)
		}
		cred, err := k.Client.LoadCredential("keyauth_credentials", "k")
		if err != nil || cred.ID != "c" || cred.ConsumerID != "x" {
			t.Errorf("credential %+v %v", cred, err)
		}
	})
	if v, _ := wire.DecodeValue(r.host.asked[0].Args[0]); v != "bob" {
		t.Errorf("argument %v", v)
	}
	r.host.answers = map[wire.AskFn]wire.Answer{wire.AskClientLoadConsumer: {}, wire.AskClientLoadCredential: {Err: &wire.Error{Code: "odd", Message: "m"}}}
	r.access(t, func(k *pdk.PDK) {
		if c, err := k.Client.LoadConsumer("nobody", true); c != nil || err != nil {
			t.Errorf("consumer %+v %v", c, err)
		}
		_, err := k.Client.LoadCredential("keyauth_credentials", "k")
		wantKind(t, err, pdk.ErrHost)
	})
	asked := len(r.host.asked)
	r.access(t, func(k *pdk.PDK) {
		_, err := k.Client.LoadCredential("keyauth_credentials", strings.Repeat("k", wire.MaxAskBytes))
		wantKind(t, err, pdk.ErrArg)
		_, err = k.Client.LoadConsumer(strings.Repeat("c", wire.MaxAskBytes), true)
		wantKind(t, err, pdk.ErrArg)
	})
	if len(r.host.asked) != asked {
		t.Error("a question was put that does not fit on a lane")
	}
}

func TestRouter(t *testing.T) {
	entity := func(fields map[string]any) *wire.Entity {
		e, err := wire.NewEntity(fields)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	r := newTester()
	r.access(t, func(k *pdk.PDK) {
		if k.Router.GetRoute() != nil || k.Router.GetService() != nil { // RT2
			t.Error("found what is not there")
		}
	})
	r.facts.Route = entity(map[string]any{"id": "r", "name": "orders", "paths": []any{"/o"}, "tags": []any{"t"}, "headers": map[string]any{"a": []any{"b"}}, "service": map[string]any{"id": "s"}})
	r.facts.Service = entity(map[string]any{"id": "s", "port": 8080, "host": "up.test"})
	check := func(k *pdk.PDK) {
		route, service := k.Router.GetRoute(), k.Router.GetService()
		if route.Name != "orders" || !slices.Equal(route.Paths, []string{"/o"}) || route.Service.ID != "s" || service.Port != 8080 {
			t.Errorf("route %+v, service %+v", route, service)
		}
	}
	r.access(t, check)
	Adopt(r.facts.Route)
	Adopt(r.facts.Service)
	r.access(t, func(k *pdk.PDK) {
		check(k)
		if first, second := k.Router.GetRoute(), k.Router.GetRoute(); first != second {
			t.Error("an adopted entity is decoded twice")
		}
	})
	r.facts.Route.Value, r.facts.Service.Value = &pdk.Route{ID: "live"}, &pdk.Service{ID: "live"}
	r.access(t, func(k *pdk.PDK) {
		if k.Router.GetRoute().ID != "live" || k.Router.GetService().ID != "live" {
			t.Error("the maker's own values are not used")
		}
	})
	r.facts.Route = &wire.Entity{Doc: []byte{0x93}}
	if out := r.run(pdk.PhaseAccess, func(k *pdk.PDK) error { k.Router.GetRoute(); return nil }); out.Err == nil || out.Err.Code != wire.CodeBadData {
		t.Errorf("a broken document: %v", out.Err)
	}
}

func TestLog(t *testing.T) {
	r := newTester()
	r.node.LogLevel = 2
	r.access(t, func(k *pdk.PDK) {
		k.Log.Err("a", 1, true, nil, 2.5, []byte("b"), errors.New("c"), 3.0) // LG1
		k.Log.Debug(explosive{})                                             // LG2: not even formatted
		k.Log.Info("hidden")
		k.Log.Notice("seen")
		k.Log.Warn(asking{k})
	})
	if want := []string{"a1truenil2.5bc3", "seen", "GET"}; !slices.Equal(r.host.lines, want) {
		t.Errorf("lines %q, expected %q", r.host.lines, want)
	}
}

type explosive struct{}

func (explosive) String() string { panic("formatted") }

type asking struct{ k *pdk.PDK }

func (a asking) String() string { return a.k.Request.GetMethod() }

func TestSerialize(t *testing.T) {
	entry, err := wire.AppendValue(nil, `{"request":{"method":"GET","size":9007199254740993},"gone":1}`)
	if err != nil {
		t.Fatal(err)
	}
	r := newTester()
	r.host.answers = map[wire.AskFn]wire.Answer{wire.AskLogSerialize: {Value: entry}}
	r.ok(t, pdk.PhaseLog, func(k *pdk.PDK) {
		if got, err := k.Log.Serialize(); err != nil || !strings.HasPrefix(got, `{"request":{"method"`) {
			t.Errorf("entry %s %v", got, err)
		}
		for _, c := range []struct {
			key   string
			value any
			mode  string
		}{
			{"a.b", 1, ""}, {`c\.d`, "x", "set"}, {"request.method", "PUT", "add"}, {"new", 1, "replace"}, {"x.y", 1, "replace"},
			{"gone", nil, ""}, {"request.method.deep", 1, ""}, {"added", []byte("b"), "add"},
		} {
			if err := k.Log.SetSerializeValue(c.key, c.value, c.mode); err != nil {
				t.Fatal(err)
			}
		}
		got, err := k.Log.Serialize()
		if want := `{"a":{"b":1},"added":"b","c.d":"x","request":{"method":"GET","size":9007199254740993}}`; err != nil || got != want {
			t.Errorf("entry %s %v, expected %s", got, err, want)
		}
	})
}

// TestCheckRefuses gives the host operations that no PDK records.
func TestCheckRefuses(t *testing.T) {
	for _, op := range []wire.Op{
		{Code: 99},
		{Code: wire.OpServiceRequestSetHeader, Name: "a", Values: []string{"b\r\nc: d"}},
		{Code: wire.OpServiceRequestAddHeader, Name: "a b"},
		{Code: wire.OpServiceRequestClearHeader},
		{Code: wire.OpServiceRequestSetMethod, Name: "GET /x"},
		{Code: wire.OpServiceRequestSetPath, Name: "x"},
		{Code: wire.OpServiceRequestSetRawQuery, Name: "a HTTP/1.1"},
		{Code: wire.OpServiceRequestSetScheme, Name: "file"},
		{Code: wire.OpResponseSetStatus, Status: 1000},
		{Code: wire.OpResponseSetHeader, Name: "a", Values: []string{"\x00"}},
		{Code: wire.OpResponseExit, Status: 42},
		{Code: wire.OpResponseExit, Status: 200, Headers: []wire.Header{{Name: "a", Value: "\n"}}},
		{Code: wire.OpResponseExit, Status: 200, Headers: []wire.Header{{Name: "", Value: "x"}}},
		{Code: wire.OpResponseError, Status: 399},
		{Code: wire.OpClientAuthenticate},
		{Code: wire.OpCtxSharedSet, Name: "a", Value: []byte{0xd7, 1, 0, 0, 0, 0, 0, 0, 0, 0}},
		{Code: wire.OpLogSetSerializeValue, Name: "a", Mode: "x"},
	} {
		if err := Check(&op); err == nil {
			t.Errorf("operation %+v passes", op)
		} else if fn := pdk.FunctionOfOp(uint16(op.Code)); fn != nil && !strings.Contains(err.Error(), fn.Name) {
			t.Errorf("the error does not name the function: %v", err)
		}
		f := newFacts()
		if _, err := Apply(f, &op); err == nil || !reflect.DeepEqual(f, newFacts()) {
			t.Errorf("operation %+v is applied", op)
		}
	}
}

func TestCheckBringsToForm(t *testing.T) {
	op := wire.Op{Code: wire.OpResponseExit, Status: 200, Headers: []wire.Header{{Name: "a_b", Value: " x "}, {Name: "Transfer_Encoding", Value: "chunked"}}}
	if err := Check(&op); err != nil || lines(op.Headers) != "a-b: x\n" {
		t.Errorf("%v %q", err, lines(op.Headers))
	}
	op = wire.Op{Code: wire.OpServiceRequestSetPath, Name: "/a b"}
	if err := Check(&op); err != nil || op.Name != "/a%20b" {
		t.Errorf("%v %q", err, op.Name)
	}
	f := newFacts()
	op = wire.Op{Code: wire.OpResponseSetHeader, Name: "transfer-encoding", Values: []string{"chunked"}}
	if _, err := Apply(f, &op); err != nil || len(f.Response.Headers) != 0 {
		t.Errorf("%v %v", err, f.Response.Headers)
	}
}
