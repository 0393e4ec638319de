package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seeds adds every document of testdata.
func seeds(f *testing.F, dirs ...string) {
	f.Helper()
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
		if err != nil || len(files) == 0 {
			f.Fatalf("no files in %s: %v", dir, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			document, _, _ := strings.Cut(string(data), separator)
			f.Add([]byte(document))
		}
	}
}

// complete wants every error to be of our type, with a code and both halves of its sentence.
func complete(t *testing.T, err error) {
	if err == nil {
		return
	}
	var errs Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		t.Fatalf("error of type %T: %v", err, err)
	}
	for _, e := range errs {
		if e.Code == "" || e.Found == "" || e.Expected == "" || !strings.HasPrefix(e.Error(), "config") {
			t.Fatalf("incomplete: %#v", e)
		}
	}
}

func FuzzParse(f *testing.F) {
	seeds(f, "good", "bad")
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := Parse("fuzz.yaml", data)
		complete(t, err)
		if err != nil {
			return
		}
		again, err := Parse("fuzz.yaml", data)
		if err != nil || len(again.Plugins) != len(set.Plugins) {
			t.Fatalf("a second load differs: %v", err)
		}
		ids := map[string]bool{}
		for i, r := range set.Routes {
			if ids[r.ID] || r.ID != again.Routes[i].ID || !isUUID(r.ID) {
				t.Fatalf("route %d has the id %q, then %q", i, r.ID, again.Routes[i].ID)
			}
			ids[r.ID] = true
		}
		for i, p := range set.Plugins {
			if ids[p.ID] || p.ID != again.Plugins[i].ID || !isUUID(p.ID) {
				t.Fatalf("plugin %d has the id %q, then %q", i, p.ID, again.Plugins[i].ID)
			}
			p.At([]string{"a", "0", "b"})
		}
		complete(t, ResolvePlugins(set, manifests(), nil))
	})
}

func FuzzSettings(f *testing.F) {
	seeds(f, "settings-bad")
	f.Add([]byte("proxy_listen: 127.0.0.1:8000\nplugin_servers: [{name: a, command: x}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSettings("fuzz.yaml", data, nil, nil)
		complete(t, err)
		if err == nil && len(s.ProxyListen) == 0 {
			t.Fatal("no listener")
		}
		_, err = parseSettings("", nil, []string{"OUTRIGGER_PLUGIN_SERVERS=" + string(data), "OUTRIGGER_HEADERS=" + string(data)}, map[string]string{"listen": string(data)})
		complete(t, err)
	})
}

func FuzzSchema(f *testing.F) {
	f.Add([]byte(helloSchema), []byte(`{"greeting": null, "rules": [{}]}`))
	f.Add([]byte(`{"anyOf": [{"$ref": "#"}, {"type": "object"}]}`), []byte(`{"a": 1}`))
	f.Fuzz(func(t *testing.T, schema, text []byte) {
		s, err := compileSchema(schema)
		if err != nil {
			return
		}
		root, e := parseDocument("config", text)
		if e != nil || root.kind != kindMapping {
			return
		}
		cfg := root.value().(map[string]any)
		if fillDefaults(s, cfg) == nil {
			_ = s.Validate(cfg)
		}
	})
}
