package local

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func manyGroups(n int) []any {
	groups := make([]any, n)
	for i := range groups {
		groups[i] = []any{fmt.Sprint("group ", i), ""}
	}
	return groups
}

// A consumer may be in more groups than a plugin may list: what client.authenticate_consumer_group_by_consumer_id records is not refused.
func TestGroupsOfAConsumerInMany(t *testing.T) {
	f := &wire.Facts{}
	op := wire.Op{Code: wire.OpClientSetAuthenticatedConsumerGroups, Value: encodeArguments(manyGroups(maxGroups+50), "write")}
	if _, err := Apply(f, &op); err != nil || len(f.Groups) != maxGroups+50 {
		t.Errorf("%d groups, %v", len(f.Groups), err)
	}
}

func TestGroupsOnTheFacts(t *testing.T) {
	f := newFacts()
	before := []wire.Group{{ID: "a"}, {ID: "b"}}
	f.Groups = before
	for _, c := range []struct {
		groups []any
		mode   string
		want   string
	}{
		{[]any{[]any{"b", "B"}, []any{"c", "C"}}, "append", "[{a } {b } {c C}]"},
		{[]any{[]any{"d", "D"}}, "write", "[{d D}]"},
		{[]any{}, "write", "[]"},
	} {
		op := wire.Op{Code: wire.OpClientSetAuthenticatedConsumerGroups, Value: encodeArguments(c.groups, c.mode)}
		if handled, err := Apply(f, &op); !handled || err != nil || fmt.Sprint(f.Groups) != c.want {
			t.Errorf("%v: groups %v, %v %v; expected %s", c.groups, f.Groups, handled, err, c.want)
		}
	}
	if fmt.Sprint(before) != "[{a } {b }]" {
		t.Errorf("the list of the facts was changed in place: %v", before)
	}
}

func TestClientVerifyOnTheFacts(t *testing.T) {
	f := newFacts()
	op := wire.Op{Code: wire.OpClientTLSSetClientVerify, Value: encodeArguments("FAILED:expired")}
	if handled, err := Apply(f, &op); !handled || err != nil || f.TLS.ClientVerify != "FAILED:expired" {
		t.Errorf("facts %+v, %v %v", f.TLS, handled, err)
	}
}

// TestHostRefusesArguments gives the host operations that the engine of no language records.
func TestHostRefusesArguments(t *testing.T) {
	long := strings.Repeat("x", maxCacheKey+1)
	for name, op := range map[string]wire.Op{
		"no array":               {Code: wire.OpServiceSetRetries, Value: []byte{0x01}},
		"one argument too many":  {Code: wire.OpServiceSetRetries, Value: encodeArguments(1, 2)},
		"text for a number":      {Code: wire.OpServiceSetRetries, Value: encodeArguments("1")},
		"retries":                {Code: wire.OpServiceSetRetries, Value: encodeArguments(-1)},
		"a fraction":             {Code: wire.OpServiceSetTLSVerifyDepth, Value: encodeArguments(1.5)},
		"a host with a port":     {Code: wire.OpServiceSetTarget, Value: encodeArguments("a:80", 80)},
		"a host with brackets":   {Code: wire.OpServiceSetTarget, Value: encodeArguments("[a]", 80)},
		"a port":                 {Code: wire.OpServiceSetTarget, Value: encodeArguments("a", 65536)},
		"no upstream":            {Code: wire.OpServiceSetUpstream, Value: encodeArguments("")},
		"a timeout":              {Code: wire.OpServiceSetTimeouts, Value: encodeArguments(1, 2, maxTimeout+1)},
		"a fallback":             {Code: wire.OpServiceSetFallbackTargets, Value: encodeArguments([]any{"a"})},
		"fallbacks as text":      {Code: wire.OpServiceSetFallbackTargets, Value: encodeArguments("a:80")},
		"verify as a number":     {Code: wire.OpServiceSetTLSVerify, Value: encodeArguments(1)},
		"a key without PEM":      {Code: wire.OpServiceSetTLSCertKey, Value: encodeArguments("-----BEGIN X-----", "secret")},
		"a store without PEM":    {Code: wire.OpServiceSetTLSVerifyStore, Value: encodeArguments("x")},
		"a group without id":     {Code: wire.OpClientSetAuthenticatedConsumerGroups, Value: encodeArguments([]any{[]any{"", "n"}}, "write")},
		"a group of one":         {Code: wire.OpClientSetAuthenticatedConsumerGroups, Value: encodeArguments([]any{[]any{"g"}}, "write")},
		"groups in a map":        {Code: wire.OpClientSetAuthenticatedConsumerGroups, Value: encodeArguments(map[string]any{}, "write")},
		"too many groups":        {Code: wire.OpClientSetAuthenticatedConsumerGroups, Value: encodeArguments(manyGroups(MaxRequestGroups+1), "write")},
		"a mode":                 {Code: wire.OpClientSetAuthenticatedConsumerGroups, Value: encodeArguments([]any{}, "other")},
		"a result":               {Code: wire.OpClientTLSSetClientVerify, Value: encodeArguments("FAILED:")},
		"a cache key":            {Code: wire.OpCacheDelete, Value: encodeArguments(long)},
		"an empty cache key":     {Code: wire.OpCacheSet, Value: encodeArguments("", 1, 0.0)},
		"a negative ttl":         {Code: wire.OpCacheSet, Value: encodeArguments("k", 1, -1.0)},
		"an endless ttl":         {Code: wire.OpCacheSet, Value: encodeArguments("k", 1, math.Inf(1))},
		"a large cached value":   {Code: wire.OpCacheSet, Value: encodeArguments("k", strings.Repeat("x", maxCacheValue), 0.0)},
		"a record without name":  {Code: wire.OpTelemetryLog, Value: encodeArguments("", map[string]any{}, "t", "m", nil)},
		"a record without map":   {Code: wire.OpTelemetryLog, Value: encodeArguments("p", nil, "t", "m", nil)},
		"attributes in a list":   {Code: wire.OpTelemetryLog, Value: encodeArguments("p", map[string]any{}, "t", "m", []any{})},
		"a span inside itself":   SpanOp(1, 1, pdk.SpanRecord{Name: "s", Start: 1, End: 1, Status: pdk.SpanOK}),
		"a span that runs back":  SpanOp(1, 0, pdk.SpanRecord{Name: "s", Start: 2, End: 1, Status: pdk.SpanOK}),
		"a span with no status":  SpanOp(1, 0, pdk.SpanRecord{Name: "s", Start: 1, End: 1, Status: "good"}),
		"an event without parts": {Code: wire.OpTracingStartSpan, Value: encodeArguments(map[string]any{"id": 1, "start": 1, "end": 1, "status": "ok", "events": []any{1}})},
		"ctx.plugin of nonsense": {Code: wire.OpCtxPluginSet, Name: "k", Value: []byte{0xc1}},
	} {
		if err := Check(&op); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestReadersOfOperations(t *testing.T) {
	target := wire.Op{Code: wire.OpServiceSetTarget, Value: encodeArguments("[::1]", 80.0)}
	if host, port, err := TargetOf(&target); host != "::1" || port != 80 || err != nil {
		t.Errorf("target %q %d %v", host, port, err)
	}
	set := wire.Op{Code: wire.OpCacheSet, Value: encodeArguments("k", []any{int64(1), []byte("b")}, 2)}
	if key, value, ttl, err := CacheSetOf(&set); key != "k" || ttl != 2 || err != nil {
		t.Errorf("cache.set %q %v %v", key, ttl, err)
	} else if v, err := wire.DecodeValue(value); err != nil || fmt.Sprint(v) != "[1 [98]]" {
		t.Errorf("cached %v %v", v, err)
	}
	removed := wire.Op{Code: wire.OpCacheSet, Value: encodeArguments("k", nil, 0.0)}
	if _, value, _, err := CacheSetOf(&removed); value != nil || err != nil {
		t.Errorf("a removed value is %x %v", value, err)
	}
	record := pdk.SpanRecord{Name: "s", Start: 5, End: 9, Attributes: map[string]any{"a": int64(1)}, Status: pdk.SpanError, Message: "m", Events: []pdk.SpanEvent{{Name: "e", Time: 7, Attributes: map[string]any{"x": "y"}}}}
	op := SpanOp(3, 2, record)
	if number, parent, got, err := SpanOf(&op); number != 3 || parent != 2 || err != nil || fmt.Sprint(got) != fmt.Sprint(record) {
		t.Errorf("span %d %d %+v %v", number, parent, got, err)
	}
}

func TestSplitTarget(t *testing.T) {
	for target, want := range map[string]string{
		"a.test:80": "a.test 80", "[::1]:65535": "::1 65535", "10.0.0.1:1": "10.0.0.1 1", "a": "", "a:": "", "a:0": "", "a:65536": "", ":80": "", "::1:80": "",
		"[::1]": "", "[a]:80": "", "a b:80": "", "a:+1": "", "u@h:80": "", "[::1:80": "",
		"[fe80::1%eth0]:80": "fe80::1%eth0 80", "[fe80::1%1\r\nX: y]:80": "", "[fe80::1%a b]:80": "",
	} {
		host, port, err := SplitTarget(target)
		if got := fmt.Sprint(host, " ", port); err == nil && got != want || err != nil && want != "" {
			t.Errorf("%q: %s %v, expected %q", target, got, err, want)
		}
	}
}

// The delimiter is made once, however many lines there are: a client chooses both, and the boundary may be as long as a header.
func TestMultipartOfManyLines(t *testing.T) {
	contentType := "multipart/form-data; boundary=" + strings.Repeat("b", 4000)
	allocs := func(lines int) float64 {
		body := []byte(strings.Repeat("\n", lines))
		return testing.AllocsPerRun(5, func() {
			if _, err := ParseBody(contentType, body, 10); err == nil {
				t.Fatal("a body without an end was parsed")
			}
		})
	}
	if few, many := allocs(10), allocs(10_000); many > few+10 {
		t.Errorf("%v allocations for 10 lines, %v for 10000", few, many)
	}
}

// An attribute is written when it is set, so that its methods may use the PDK, and what a span holds is a copy.
func TestSpansOfManyGoroutines(t *testing.T) {
	r := newTester()
	out := r.run(pdk.PhaseAccess, func(k *pdk.PDK) error {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				list := []any{i}
				s := k.Tracing.StartSpan("work", map[string]any{"who": nosy{k}, "list": list})
				list[0] = "changed"
				s.SetAttribute("again", nosy{k})
				s.AddEvent("event", nil)
				k.Tracing.ActiveSpan()
				s.Finish()
			})
		}
		wg.Wait()
		return nil
	})
	if out.Err != nil || len(out.Ops) != 8 {
		t.Fatalf("outcome %+v", out)
	}
	for i := range out.Ops {
		number, _, s, err := SpanOf(&out.Ops[i])
		if number != i+1 || err != nil || s.Attributes["who"] != "GET" || s.Attributes["again"] != "GET" || len(s.Events) != 1 {
			t.Errorf("span %d %+v %v", number, s, err)
		}
		if list, ok := s.Attributes["list"].([]any); !ok || list[0] == "changed" {
			t.Errorf("the attribute was not copied: %v", s.Attributes["list"])
		}
	}
}

// nosy uses the PDK to say what it is.
type nosy struct{ k *pdk.PDK }

func (c nosy) String() string { return c.k.Request.GetMethod() }

// Behind 1024 spans a handler gets spans that record nothing, and one line says so.
func TestSpansHaveALimit(t *testing.T) {
	for level, lines := range map[uint8][]string{0: {tooManySpans}, levelWarn + 1: nil} {
		r := newTester()
		r.node.LogLevel = level
		for range 2 { // a session is used again
			r.host.lines = nil
			out := r.run(pdk.PhaseAccess, func(k *pdk.PDK) error {
				for i := range maxSpans {
					if k.Tracing.StartSpan("s", nil) == nil {
						return fmt.Errorf("span %d records nothing", i+1)
					}
				}
				active := k.Tracing.ActiveSpan()
				for range 2 {
					s := k.Tracing.StartSpan("more", nil)
					s.SetAttribute("a", 1)
					if s.Finish(); s != nil || k.Tracing.ActiveSpan() != active {
						return errors.New("a span too many counts")
					}
				}
				return nil
			})
			if out.Err != nil || len(out.Ops) != maxSpans || !slices.Equal(r.host.lines, lines) {
				t.Errorf("level %d: %v, %d operations, lines %q", level, out.Err, len(out.Ops), r.host.lines)
			}
		}
	}
}

func TestSpansOfAFailedHandlerAreDropped(t *testing.T) {
	out := newTester().run(pdk.PhaseAccess, func(k *pdk.PDK) error {
		k.Tracing.StartSpan("work", nil)
		return errors.New("boom")
	})
	if out.Err == nil || len(out.Ops) != 0 {
		t.Errorf("outcome %+v", out)
	}
}

func TestOperationsThatFillAFrame(t *testing.T) {
	out := newTester().run(pdk.PhaseAccess, func(k *pdk.PDK) error {
		value := strings.Repeat("x", maxCacheValue-10)
		for i := range 20 {
			if err := k.Cache.Set(fmt.Sprint(i), value, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if out.Err == nil || out.Err.Code != wire.CodeTooLarge {
		t.Errorf("outcome %+v", out.Err)
	}
	out = newTester().run(pdk.PhaseAccess, func(k *pdk.PDK) error {
		half := strings.Repeat("x", maxOutcome/2)
		return k.Response.Exit(200, nil, map[string][]string{"X-Large": {half, half}})
	})
	if out.Err == nil || out.Err.Code != wire.CodeTooLarge {
		t.Errorf("headers of an exit: %+v", out.Err)
	}
}

func TestSetBodyInGo(t *testing.T) {
	type inner struct {
		Z int `json:"z"`
		A int `json:"a"`
	}
	r := newTester()
	out := r.run(pdk.PhaseAccess, func(k *pdk.PDK) error {
		if err := k.ServiceRequest.SetBody(struct {
			B inner  `json:"b"`
			A string `json:"a"`
		}{inner{1, 2}, "\u2028 \\u2028 \"\\"}, MIMEJSON); err != nil {
			return err
		}
		if err := k.ServiceRequest.SetBody(map[string][]string{"b": {"1", "2"}, "a": {"x"}}, MIMEForm); err != nil {
			return err
		}
		for _, wrong := range []any{map[string]any{"f": func() {}}, map[string]any{"x": math.NaN()}, map[string]any(nil)} {
			if err := k.ServiceRequest.SetBody(wrong, MIMEJSON); !errors.Is(err, pdk.ErrArg) {
				t.Errorf("%v: %v", wrong, err)
			}
		}
		if err := k.ServiceRequest.SetBody(map[string]any{"a": 1}, "multipart/form-data; boundary=\"a\r\nb\""); !errors.Is(err, pdk.ErrArg) {
			t.Errorf("a boundary of two lines: %v", err)
		}
		return nil
	})
	if out.Err != nil || len(out.Ops) != 4 {
		t.Fatalf("outcome %+v", out)
	}
	if got, want := string(out.Ops[0].Body), "{\"a\":\"\u2028 \\\\u2028 \\\"\\\\\",\"b\":{\"a\":2,\"z\":1}}"; got != want {
		t.Errorf("JSON %s, expected %s", got, want)
	}
	if got := string(out.Ops[2].Body); got != "a=x&b=1&b=2" {
		t.Errorf("form %s", got)
	}
}

func TestAnswersThatAreStrange(t *testing.T) {
	text, err := wire.AppendValue(nil, "text")
	if err != nil {
		t.Fatal(err)
	}
	r := newTester()
	r.facts.TLS = wire.TLS{Set: true, HasCertificate: true}
	r.host.ask = func(*wire.Ask) wire.Answer { return wire.Answer{Value: text} }
	out := r.run(pdk.PhaseAccess, func(k *pdk.PDK) error {
		_, err1 := k.Node.GetConfiguration()
		_, err2 := k.Client.AuthenticateConsumerGroupByConsumerID("0f8fad5b-d9cb-469f-a165-70867728950e")
		_, err3 := k.Vault.Update(nil)
		for i, err := range []error{err1, err2, err3} {
			if !errors.Is(err, pdk.ErrHost) {
				t.Errorf("answer %d: %v", i+1, err)
			}
		}
		return nil
	})
	if out.Err != nil || len(out.Ops) != 0 {
		t.Errorf("outcome %+v", out)
	}
}
