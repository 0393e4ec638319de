package blackbox

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
)

func TestValuesSurvive(t *testing.T) {
	for _, v := range []any{
		nil, true, false, int64(0), int64(math.MinInt64), int64(math.MaxInt64), uint64(math.MaxUint64), 0.0, 3.0, -1.5, 1e300, math.Inf(1), math.SmallestNonzeroFloat64,
		"", "<&>\u2028é", "\xff\xfe", []byte{}, []byte("text"), []any{}, []any{nil, []any{int64(1)}}, map[string]any{}, map[string]any{"a": nil, "b": []byte{1}},
		map[string]any{"$bytes": "AA=="}, map[string]any{"$x": int64(1)}, map[string]any{"\xff": int64(1), "b": 2.0}, map[string]any{"$pairs": []any{}},
	} {
		text, err := json.Marshal(Value{v})
		if err != nil {
			t.Fatalf("%#v: %v", v, err)
		}
		var back Value
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back.V, v) {
			t.Errorf("%#v became %s and %#v, %v", v, text, back.V, err)
		}
	}
}

func TestTextsSurvive(t *testing.T) {
	for _, s := range []Text{"", "a", "\xff\x00", "<é>", `{"base64": ""}`} {
		text, err := json.Marshal(s)
		var back Text
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil || back != s {
			t.Errorf("%q became %s and %q, %v", s, text, back, err)
		}
	}
}

func TestLinesSurvive(t *testing.T) {
	for _, l := range []Line{{"a", "b"}, {"", ""}, {"a", ": b: "}, {"a: b", "c"}, {"a:", "c"}, {"a", "\xff"}, {"\xff", "[]"}} {
		text, err := json.Marshal(l)
		var back Line
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil || back != l {
			t.Errorf("%q became %s and %q, %v", l, text, back, err)
		}
	}
}

const smallest = `{"outrigger_recording": 1, "plugin": {"name": "p"}, "config": {}, "call": {"phase": "access"}}`

func TestBadFiles(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "this is no recording of the black box"},
		{"\n\n{,}", "line 3"},
		{"[]", "this is no recording of the black box"},
		{"{}", `expected a JSON object with "outrigger_recording"`},
		{`{"outrigger_recording": 2}`, "the recording is of version 2, this program reads up to 1"},
		{`{"outrigger_recording": 0}`, "found 0, expected 1"},
		{strings.Replace(smallest, `"p"`, `""`, 1), "plugin.name: found nothing"},
		{strings.Replace(smallest, `"config": {}`, `"config": []`, 1), "config: expected an object"},
		{strings.Replace(smallest, "access", "acess", 1), `call.phase: found "acess", expected one of ["rewrite"`},
		{strings.Replace(smallest, `"access"`, `"access", "request": {"port": 70000}`, 1), "call.request.port: found 70000, expected 0 to 65535"},
		{strings.Replace(smallest, `"access"`, `"access", "route": 7`, 1), "call.route: found 7, expected an object"},
		{strings.Replace(smallest, `"access"`, `"access", "chunk": {"size": -1}`, 1), "call.chunk.size: found -1"},
		{strings.Replace(smallest, `"access"`, `"access", "request": {"headers": ["host"]}`, 1), `found the header line "host", expected "name: value"`},
		{strings.Replace(smallest, `"access"`, `"access", "ctx_shared": {"a": {"$bytes": 1}}`, 1), "expected $bytes"},
		{strings.Replace(smallest, `"access"`, `"access", "ctx_shared": {"a": `+strings.Repeat("[", 100)+strings.Repeat("]", 100)+"}", 1), "nested deeper"},
	} {
		if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80s: found %v, expected %s", c.text, err, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "x")
	if _, err := Read(path); !os.IsNotExist(err) {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Error(err)
	}
	if err := os.Truncate(path, maxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "found more than") {
		t.Error(err)
	}
}

// Whatever a file holds, reading it ends in an error or in a call that survives another round.
func FuzzParse(f *testing.F) {
	r := &Recorder{opts: Options{Origin: origin, SecretNames: func() []string { return nil }, Bodies: true}}
	whole, err := json.Marshal(r.take(failing(f, dispatch.HandlerError, errBoom)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(smallest))
	f.Add([]byte(`{"outrigger_recording": 1, "plugin": {"name": "p"}, "config": {}, "call": {"phase": "log", "chunk": {"size": 3}, "ctx_shared": {"a": {"$pairs": [["$b", {"$float": "NaN"}]]}}}, "asks": [{"bytes": {"base64": "AA=="}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := Parse(data)
		if err != nil {
			return
		}
		call, _, err := rec.Request()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		second, _, err := again.Request()
		if err != nil {
			t.Fatal(err)
		}
		if call.Phase != second.Phase || !bytes.Equal(call.Chunk, second.Chunk) || call.Request.Target != second.Request.Target || len(call.Shared) != len(second.Shared) {
			t.Errorf("%+v became %+v", call, second)
		}
	})
}
