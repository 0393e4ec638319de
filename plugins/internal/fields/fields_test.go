package fields

import (
	"slices"
	"strings"
	"testing"
)

// do runs edits written as "remove a", "rename a b", "put a 1" and "append a 1", separated by "; ".
func do(t *testing.T, s Set, edits string) {
	t.Helper()
	if edits == "" {
		return
	}
	for edit := range strings.SplitSeq(edits, "; ") {
		w := strings.SplitN(edit, " ", 3)
		switch w[0] {
		case "remove":
			s.Remove(w[1])
		case "rename":
			s.Rename(w[1], w[2])
		case "put":
			s.Put(w[1], w[2])
		case "append":
			s.Append(w[1], w[2])
		default:
			t.Fatalf("unknown edit %q", edit)
		}
	}
}

func TestArgs(t *testing.T) {
	for _, c := range []struct{ raw, edits, want string }{
		{"", "", ""},
		{"a=1&b=2", "", "a=1&b=2"},
		{"a=1&&=x&b", "", "a=1&&=x&b"},
		{"a=1&b=2&a=3", "remove a", "b=2"},
		{"a=1&b", "remove b", "a=1"},
		{"a=1", "remove b", "a=1"},
		{"%61=1&b=2", "remove a", "b=2"},
		{"x+y=1", "remove x y", "x+y=1"},
		{"a=%2B+x&b=2", "put b new value", "a=%2B+x&b=new%20value"},
		{"a=1&b=2&a=3", "put a 9", "a=9&b=2"},
		{"a=1", "put b 2", "a=1&b=2"},
		{"", "put b &=+ü", "b=%26%3D%2B%C3%BC"},
		{"a=1&b=2&a=%33&a", "rename a c", "c=1&b=2&c=%33&c"},
		{"a=1&b=2", "rename a b", "b=1"},
		{"b=2", "rename a b", "b=2"},
		{"a=1", "rename a a", "a=1"},
		{"a=1&b=2", "append a 3", "a=1&b=2&a=3"},
		{"a=1", "remove a", ""},
		{"%zz=%4&a", "remove a", "%zz=%4"},
	} {
		a := ParseArgs(c.raw)
		do(t, a, c.edits)
		if got := a.String(); got != c.want {
			t.Errorf("%q after %q: %q, want %q", c.raw, c.edits, got, c.want)
		}
		if a.Changed() != (c.raw != c.want) {
			t.Errorf("%q after %q: Changed is %v", c.raw, c.edits, a.Changed())
		}
	}
}

func TestArgsValues(t *testing.T) {
	a := ParseArgs("a=1&a=%41+b&a&b=&=x&a%zz=1&A=2")
	if got, want := a.Values("a"), []Value{{Text: "1"}, {Text: "A b"}, {Bare: true}}; !slices.Equal(got, want) {
		t.Errorf("values of a: %v, want %v", got, want)
	}
	if got, want := a.Values("b"), []Value{{}}; !slices.Equal(got, want) {
		t.Errorf("values of b: %v, want %v", got, want)
	}
	if got := a.Values("a%zz"); len(got) != 1 {
		t.Errorf("values of a%%zz: %v, want one", got)
	}
	if got, want := a.Names(), []string{"a", "b", "a%zz", "A"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	b := ParseArgs("q=1")
	b.AppendAll(a)
	if got, want := b.String(), "q=1&a=1&a=A%20b&a&b=&a%25zz=1&A=2"; got != want {
		t.Errorf("with all appended %q, want %q", got, want)
	}
}

func TestObject(t *testing.T) {
	for _, c := range []struct{ text, edits, want string }{
		{`{}`, "", `{}`},
		{``, "put a 1", `{"a":"1"}`},
		{" \n", "append a 1", `{"a":["1"]}`},
		{`{"b":1,"a":2}`, "put c x", `{"b":1,"a":2,"c":"x"}`},
		{`{ "a" : 12345678901234567890.10 , "b":{"x": [1, 2]} }`, "remove c; put d <&>", `{"a":12345678901234567890.10,"b":{"x": [1, 2]},"d":"<&>"}`},
		{`{"a":1,"b":2,"a":3}`, "remove b", `{"a":3}`},
		{`{"a":null}`, "put a x", `{"a":"x"}`},
		{`{"a":1,"b":2,"c":3}`, "rename a c", `{"c":1,"b":2}`},
		{`{"b":2}`, "rename a b", `{"b":2}`},
		{`{"a":1}`, "rename a a", `{"a":1}`},
		{`{"a":"1"}`, "append a 2", `{"a":["1","2"]}`},
		{`{"a":[1,{"x":true}]}`, "append a 2", `{"a":[1,{"x":true},"2"]}`},
		{`{"a":[]}`, "append a 2", `{"a":["2"]}`},
		{`{"a":null}`, "append a 2", `{"a":["2"]}`},
		{`{"a":false}`, "append a 2", `{"a":[false,"2"]}`},
		{`{"a":{"x":1}}`, "append a 2", `{"a":[{"x":1},"2"]}`},
		{`{"ä\n":1}`, `put " x`, `{"ä\n":1,"\"":"x"}`},
	} {
		o, err := ParseObject([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		do(t, o, c.edits)
		if got := string(o.Bytes()); got != c.want {
			t.Errorf("%s after %q: %s, want %s", c.text, c.edits, got, c.want)
		}
	}
}

func TestObjectRefuses(t *testing.T) {
	for _, text := range []string{`[]`, `1`, `null`, `"a"`, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1}}`, `{"a":1} {}`, `{a:1}`, "\x1f\x8b"} {
		if o, err := ParseObject([]byte(text)); err == nil {
			t.Errorf("%s was read as %s", text, o.Bytes())
		}
	}
}

func lines(text ...string) string { return strings.Join(text, "\r\n") }

const multipartType = `multipart/form-data; boundary="x y"`

func TestParts(t *testing.T) {
	body := lines(
		"preamble", "--x y", `Content-Disposition: form-data; name="a"`, "", "1",
		"--x y  ", `X-Other: 1`, `content-disposition: form-data; filename="name=a.txt"; name=b`, "Content-Type: text/plain", "", "line\r\n--x z", "",
		"--x y", `Content-Disposition: form-data; name="a"`, "", "", "--x y--", "epilogue")
	for _, c := range []struct{ edits, want string }{
		{"remove a", lines("preamble", "--x y", `X-Other: 1`, `content-disposition: form-data; filename="name=a.txt"; name=b`, "Content-Type: text/plain", "", "line\r\n--x z", "", "--x y--", "epilogue")},
		{"remove a; rename b c", lines("preamble", "--x y", `X-Other: 1`, `content-disposition: form-data; filename="name=a.txt"; name="c"`, "Content-Type: text/plain", "", "line\r\n--x z", "", "--x y--", "epilogue")},
		{"remove b; put a 2", lines("preamble", "--x y", `Content-Disposition: form-data; name="a"`, "", "2", "--x y--", "epilogue")},
		{`rename b a; put n"m 2`, lines("preamble", "--x y", `X-Other: 1`, `content-disposition: form-data; filename="name=a.txt"; name="a"`, "Content-Type: text/plain", "", "line\r\n--x z", "", "--x y", `Content-Disposition: form-data; name="n%22m"`, "", "2", "--x y--", "epilogue")},
	} {
		b, ok := Parse(Multipart, multipartType, []byte(body))
		if !ok {
			t.Fatal("the body cannot be read")
		}
		if got := b.Values("a"); !slices.Equal(got, []string{"1", ""}) {
			t.Errorf("values of a: %q", got)
		}
		if got := b.Values("b"); !slices.Equal(got, []string{"line\r\n--x z\r\n"}) {
			t.Errorf("values of b: %q", got)
		}
		do(t, b, c.edits)
		if got := string(b.Bytes()); got != c.want {
			t.Errorf("after %q:\n%s\nwant\n%s", c.edits, got, c.want)
		}
		if !b.Changed() {
			t.Errorf("after %q: not changed", c.edits)
		}
	}
}

func TestPartsOfNothing(t *testing.T) {
	b, ok := Parse(Multipart, "multipart/form-data; boundary=q", nil)
	if !ok {
		t.Fatal("an empty body cannot be read")
	}
	do(t, b, "remove a; rename a b; put c 1; append c 2")
	want := lines("--q", `Content-Disposition: form-data; name="c"`, "", "1", "--q", `Content-Disposition: form-data; name="c"`, "", "2", "--q--", "")
	if got := string(b.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPartsRefuse(t *testing.T) {
	for name, c := range map[string]struct{ contentType, body string }{
		"no boundary":         {"multipart/form-data", "x"},
		"no delimiter":        {multipartType, "x"},
		"not closed":          {multipartType, lines("--x y", "", "1")},
		"longer delimiter":    {multipartType, lines("--x yz", "", "1", "--x yz--")},
		"no header end":       {multipartType, lines("--x y", "A: b", "--x y--")},
		"broken disposition":  {multipartType, lines("--x y", `Content-Disposition: form-data; name="a`, "", "1", "--x y--")},
		"bad type parameters": {"multipart/form-data; boundary", "x"},
	} {
		if _, ok := Parse(Multipart, c.contentType, []byte(c.body)); ok {
			t.Errorf("%s: was read", name)
		}
	}
}

func TestKindOf(t *testing.T) {
	for contentType, want := range map[string]Kind{
		"": Other, "text/plain": Other, "application/json": JSON, " Application/JSON; charset=utf-8": JSON, "application/json-patch+json": JSON,
		"application/x-www-form-urlencoded": Form, "multipart/form-data; boundary=a": Multipart, "multipart/mixed": Other, "application/vnd.api+json": Other,
	} {
		if got := KindOf(contentType); got != want {
			t.Errorf("kind of %q is %d, want %d", contentType, got, want)
		}
	}
}

func TestBodyValues(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		body string
		want []string
	}{
		{Form, "k=1", []string{"1"}},
		{Form, "k=1&k=2", []string{"1", "2"}},
		{Form, "k", nil},
		{Form, "k=", []string{""}},
		{JSON, `{"k":"1"}`, []string{"1"}},
		{JSON, `{"k":["1","2"]}`, []string{"1", "2"}},
		{JSON, `{"k":1}`, nil},
		{JSON, `{"k":null}`, nil},
		{JSON, `{"k":{"a":"b"}}`, nil},
		{JSON, `{"x":"1"}`, nil},
	} {
		b, ok := Parse(c.kind, "", []byte(c.body))
		if !ok {
			t.Errorf("%s cannot be read", c.body)
			continue
		}
		if got := b.Values("k"); !slices.Equal(got, c.want) {
			t.Errorf("%s: values %q, want %q", c.body, got, c.want)
		}
	}
}

func TestCutRule(t *testing.T) {
	for text, want := range map[string][2]string{
		"a:b": {"a", "b"}, "a": {"a", ""}, "a:": {"a", ""}, "a:b:c": {"a", "b:c"}, "a::b": {"a", "b"}, "a: b": {"a", " b"},
	} {
		if name, value := CutRule(text); name != want[0] || value != want[1] {
			t.Errorf("%q: %q, %q, want %q", text, name, value, want)
		}
	}
}

func FuzzParts(f *testing.F) {
	f.Add("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n")
	f.Add("x\r\n--b\r\n\r\n1\r\n--b--")
	f.Fuzz(func(t *testing.T, body string) {
		const contentType = "multipart/form-data; boundary=b"
		b, ok := Parse(Multipart, contentType, []byte(body))
		if !ok || body == "" {
			return
		}
		b.Put("new", "value")
		again, ok := Parse(Multipart, contentType, b.Bytes())
		if !ok {
			t.Fatalf("%q with a new part cannot be read: %q", body, b.Bytes())
		}
		if got := again.Values("new"); !slices.Equal(got, []string{"value"}) {
			t.Fatalf("%q with a new part: its values are %q", body, got)
		}
	})
}
