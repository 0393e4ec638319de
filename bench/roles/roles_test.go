package roles

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/load"
)

func TestLoadGeneratorObeys(t *testing.T) {
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = io.WriteString(w, "hello")
	}))
	defer s.Close()
	spec := load.Spec{
		Address: s.Listener.Addr().String(), Request: []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Connections: 2, Rate: 100, Time: 50 * time.Millisecond,
		Status: 200, Body: 5, Timeout: time.Minute,
	}
	wrong := spec
	wrong.Connections = 0
	var in, out bytes.Buffer
	orders := json.NewEncoder(&in)
	for _, o := range []Order{{Drive: &spec}, {Hold: &spec}, {}, {Drive: &wrong}} {
		if err := orders.Encode(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := obey(&in, &out); err != nil {
		t.Fatal(err)
	}
	var messages []Message
	for d := json.NewDecoder(&out); d.More(); {
		var m Message
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	if len(messages) != 6 || !messages[0].Begin || !messages[1].End || messages[2].Result == nil || messages[2].Result.Requests != 5 ||
		messages[3].Held != 2 || !messages[4].End || !strings.Contains(messages[5].Error, "found 0 connections") {
		t.Errorf("found %+v", messages)
	}
	if n := requests.Load(); n != 9 {
		t.Errorf("the server got %d requests, expected 5 and two for each held connection", n)
	}
	if err := obey(strings.NewReader("{drive}\n"), &out); err == nil || !strings.Contains(err.Error(), "reading an order") {
		t.Errorf("a wrong order: %v", err)
	}
}

func TestRolesRefuse(t *testing.T) {
	for args, want := range map[string]string{
		"":                          "found no role",
		"gatway":                    `unknown role "gatway"`,
		"gateway --native nothing":  `bench-internal gateway: --native: plugin "nothing"`,
		"plugins --only nothing":    `bench-internal plugins: --only: plugin "nothing"`,
		"pin 0":                     "expected processors and a command",
		"pin 3-1 true":              `found the processors "3-1"`,
		"pin x true":                `found the processors "x"`,
		"gateway --settings /no/no": "/no/no",
	} {
		if err := Run(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: found %v, expected %q", args, err, want)
		}
	}
}
