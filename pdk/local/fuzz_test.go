package local

import (
	"reflect"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func FuzzParseBody(f *testing.F) {
	f.Add("application/json", []byte(`{"a":[1,-2.5e3,"x\ud800",null,{"b":18446744073709551615}]}`))
	f.Add("application/x-www-form-urlencoded; charset=x", []byte("a=1&a&b=%zz+%20&=x"))
	f.Add(`multipart/form-data; x="a;b"; boundary="B \"q"`, []byte("--B \"q\r\nContent-Disposition: form-data; name=\"a\\\"\"\r\n\r\n1\r\n--B \"q--"))
	f.Add("multipart/form-data; boundary=B", []byte("pre\n--B\nX: y\n--B\n\n\n--B--\nepilogue"))
	f.Fuzz(func(t *testing.T, contentType string, raw []byte) {
		given := string(raw)
		body, err := ParseBody(contentType, raw, 5)
		if string(raw) != given {
			t.Fatal("parsing changed the body")
		}
		if err != nil {
			return
		}
		switch fields := body.Value.(type) {
		case map[string]any:
			if _, empty := fields[""]; empty && body.MIME != MIMEJSON {
				t.Fatalf("a field without a name: %v", fields)
			}
			if body.MIME != MIMEJSON && len(fields) > 5 {
				t.Fatalf("%d fields", len(fields))
			}
		case []any:
		default:
			t.Fatalf("value %T", body.Value)
		}
	})
}

// What set_body writes, get_body reads.
func FuzzSetBody(f *testing.F) {
	f.Add("a", "1", "b\"\r\n", "\xff&=+ ")
	f.Add("n", "", "é", "x\r\n--y")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		fields := map[string]any{name1: value1, name2: value2}
		delete(fields, "")
		raw, err := formBody(fields)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := ParseBody(MIMEForm, raw, 10); err != nil || !reflect.DeepEqual(body.Value, fields) {
			t.Fatalf("form %q: %v %v, expected %v", raw, body.Value, err, fields)
		}
		raw, written, err := multipartBody(fields, "")
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{}
		quote := strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A")
		for name, v := range fields {
			if strings.ContainsAny(name, `\`) {
				return // a backslash means itself to browsers, and quotes to others
			}
			AddRepeated(want, quote.Replace(name), v)
		}
		if len(want) != len(fields) {
			return
		}
		if body, err := ParseBody(written, raw, 10); err != nil || !reflect.DeepEqual(body.Value, want) {
			t.Fatalf("multipart %q: %v %v, expected %v", raw, body.Value, err, want)
		}
	})
}

func FuzzParseReference(f *testing.F) {
	f.Add("{vault://env/a%20b/c?x=1&y#2}")
	f.Add("{vault://e-1/a/b/c#00}")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReference(text)
		if err != nil {
			return
		}
		if !IsReference(text) || !isVaultName(r.Name) || r.Resource == "" || r.Version < 0 || r.Config == nil {
			t.Fatalf("%q is read as %+v", text, r)
		}
	})
}

// Whatever a server sends as an operation, the host checks it without harm, and what passed the check once passes it again.
func FuzzCheck(f *testing.F) {
	for _, op := range []wire.Op{
		{Code: wire.OpServiceSetTarget, Value: encodeArguments("[::1]", 80)},
		{Code: wire.OpClientSetAuthenticatedConsumerGroups, Value: encodeArguments([]any{[]any{"g", "n"}}, "append")},
		{Code: wire.OpTelemetryLog, Value: encodeArguments("p", map[string]any{}, "t", "m", nil)},
		{Code: wire.OpCacheSet, Value: encodeArguments("k", []any{1}, 1.5)},
		SpanOp(1, 0, pdk.SpanRecord{Name: "s", Start: 1, End: 2, Status: pdk.SpanOK, Events: []pdk.SpanEvent{{Name: "e", Time: 1}}}),
	} {
		f.Add(uint16(op.Code), op.Value)
	}
	f.Fuzz(func(t *testing.T, code uint16, value []byte) {
		op := wire.Op{Code: wire.OpCode(code), Value: value, Name: "x", Mode: "set"}
		facts := newFacts()
		if _, err := Apply(facts, &op); err != nil {
			return
		}
		if err := Check(&op); err != nil {
			t.Fatalf("operation %d with %x passes once: %v", code, value, err)
		}
	})
}
