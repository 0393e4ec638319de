package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/server"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func TestEveryRequestIsALine(t *testing.T) {
	p, err := server.Plugin(New, Version, Priority, server.Name("log-shipper"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log")
	for range 2 {
		x := pdktest.New(pdktest.Request{URL: "http://gw.test/a/b?x=1"})
		if err := x.Use(p, fmt.Sprintf(`{"path":%q,"labels":["one"]}`, path)); err != nil {
			t.Fatal(err)
		}
		if res := x.Run(); len(res.Failures) > 0 || len(res.Log) > 0 {
			t.Fatalf("%+v", res)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte{'\n'})
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	var line struct {
		Path   string
		Weight float64
		Tries  int
		Labels []string
		Entry  struct {
			Request struct{ Method, URI string }
		}
	}
	if err := json.Unmarshal(lines[1], &line); err != nil {
		t.Fatal(err)
	}
	if line.Path != "/a/b" || line.Weight != 3 || line.Tries != 2 || len(line.Labels) != 1 || line.Entry.Request.Method != "GET" || line.Entry.Request.URI != "/a/b?x=1" {
		t.Errorf("%s", lines[1])
	}
}
