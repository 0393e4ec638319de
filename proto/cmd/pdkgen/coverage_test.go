package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestCoverageSaysWhatIsWrong(t *testing.T) {
	def := load(t)
	for name, c := range map[string]struct{ text, want string }{
		"a function without a fate":   {"kong: {request: [get_gone]}", "request.get_gone: found in 0 of"},
		"a function with two fates":   {"kong: {request: [get_host]}\nleft_out: [{functions: [request.get_host], why: W.}]", "request.get_host: found in 2 of"},
		"a fate of nothing":           {"left_out: [{functions: [request.get_gone], why: W.}]", "request.get_gone: has a fate but is not in the list kong"},
		"left out without a reason":   {"kong: {a: [b]}\nleft_out: [{functions: [a.b]}]", "a.b: what is left out has why"},
		"elsewhere without our name":  {"kong: {a: [b]}\nelsewhere: [{functions: [a.b]}]", "a.b: ours is missing"},
		"a key that does not exist":   {"kong: {}\nleftout: []", "leftout"},
		"a file that is no YAML text": {"kong: [", "proto/coverage.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadCoverage(fstest.MapFS{coverageFile: {Data: []byte(c.text)}}, def)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("found %v, expected %q", err, c.want)
			}
		})
	}
}

// TestEveryFunctionHasAVector reads which functions the vectors call.
func TestEveryFunctionHasAVector(t *testing.T) {
	files, err := filepath.Glob(root + "/proto/vectors/pdk/*.json")
	if err != nil {
		t.Fatal(err)
	}
	called, vectors := map[string]bool{}, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		type call struct{ Fn string }
		var all struct {
			Vectors []struct{ Calls, Late []call }
		}
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, v := range all.Vectors {
			vectors++
			for _, c := range append(v.Calls, v.Late...) {
				called[c.Fn] = true
			}
		}
	}
	if vectors < 300 {
		t.Errorf("%d vectors; expected at least 300", vectors)
	}
	def := load(t)
	for _, f := range def.Functions() {
		if !called[f.FullName()] {
			t.Errorf("no vector calls %s", f.FullName())
		}
	}
	for fn := range called {
		if def.Lookup(fn) == nil && !strings.HasPrefix(fn, "span.") {
			t.Errorf("a vector calls %s, which is not defined", fn)
		}
	}
}
