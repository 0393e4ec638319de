package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// bigDocument has services of ten routes each, and plugin records spread over them.
func bigDocument(routes, plugins int) []byte {
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n")
	for i := range routes / 10 {
		fmt.Fprintf(&b, "- name: service-%d\n  url: http://10.0.0.1:8080/base\n  routes:\n", i)
		for j := range 10 {
			n := i*10 + j
			fmt.Fprintf(&b, "  - name: route-%d\n    paths:\n    - /api/v1/%d\n    - ~/re/%d/(?<id>\\d+)$\n", n, n, n)
			fmt.Fprintf(&b, "    methods: [GET, POST]\n    hosts:\n    - h%d.example.com\n    strip_path: false\n    tags: [a, b]\n", i)
			if n < plugins {
				b.WriteString("    plugins:\n    - name: hello-go\n      config:\n        greeting: hello\n        rules: [{name: a}, {name: b}]\n")
			}
		}
	}
	return []byte(b.String())
}

// TestBigDocument wants ten thousand routes and a thousand plugins to cost a reasonable number of bytes: what stays, and what the
// load needs on the way.
func TestBigDocument(t *testing.T) {
	data := bigDocument(10000, 1000)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var before, after runtime.MemStats
	start := heap()
	runtime.ReadMemStats(&before)
	set, err := Parse("big.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	if err := ResolvePlugins(set, manifests(), nil); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	kept := int64(heap()) - int64(start)
	made := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d KiB of text: %d MiB made, %d MiB kept", len(data)>>10, made>>20, kept>>20)
	if kept > 64<<20 || made > 256<<20 {
		t.Errorf("%d MiB made and %d MiB kept, want at most 256 and 64", made>>20, kept>>20)
	}
	if len(set.Routes) != 10000 || len(set.Plugins) != 1000 {
		t.Errorf("%d routes and %d plugins", len(set.Routes), len(set.Plugins))
	}
	runtime.KeepAlive(set)
}

// TestHostileDocuments wants a quick refusal of documents that are small and try to cost much.
func TestHostileDocuments(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("_ignore:\n- &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 30 {
		fmt.Fprintf(&bomb, "- &a%d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	var merges strings.Builder
	merges.WriteString("_ignore:\n- &m0 {k0: 1}\n")
	for i := range 3000 {
		fmt.Fprintf(&merges, "- &m%d {<<: *m%d, k%d: 1}\n", i+1, i, i+1)
	}
	for name, c := range map[string]struct{ text, want string }{
		"alias bomb":       {bomb.String(), "aliases that add more than"},
		"merge bomb":       {merges.String(), "aliases that add more than"},
		"open brackets":    {strings.Repeat("[", 1<<20), "more than 100 levels"},
		"open mappings":    {strings.Repeat("{a: ", 1<<16), "more than 100 levels"},
		"nested dashes":    {strings.Repeat("- ", 1<<19), "more than 100 levels"},
		"nested keys":      {strings.Repeat("? ", 1<<19), "more than 100 levels"},
		"deep JSON":        {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "more than 100 levels"},
		"too deep JSON":    {strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "more than 100 levels"},
		"many keys":        {"_format_version: '3.0'\n" + manyKeys(20000), "unknown key"},
		"one long name":    {"_format_version: '3.0'\n" + strings.Repeat("x", 1<<18) + ": 1", "unknown key"},
		"many tags":        {"_format_version: '3.0'\nservices: [{name: a, tags: [" + strings.Repeat("x, ", 10) + manyWords(30000) + "]}]", `no "host"`},
		"many unknown":     {"_format_version: '3.0'\nservices:\n" + manyServices(5000) + "routes:\n" + manyRoutes(5000), "expected the name or id"},
		"many expressions": {"_format_version: '3.0'\nservices: [{name: '" + strings.Repeat("${{ env `GONE` }}", 10000) + "'}]", "that is not set"},
		"open expressions": {"_format_version: '3.0'\nx: '" + strings.Repeat("${{", 1<<16) + "'", "unknown key"},
		"marks":            {"_format_version: '3.0'\nservices: [{name: '${{ env `GONE` }}'}]\nx: \"" + strings.Repeat("\\uE000", 1<<14) + "\"", "that is not set"},
		"wrong defaults":   {"_format_version: '3.0'\n_info: {defaults: {service: {retries: x, port: x}}}\nservices:\n" + manyServices(2000), "defaults.service.port"},
		"long JSON line":   {`{"_format_version": "3.0", "_ignore": [` + strings.Repeat(`"x", `, 50000) + `1], "x": 1}`, "unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("hostile.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				text := fmt.Sprint(err)
				t.Errorf("got %.300s, want %s", text, c.want)
			}
		})
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	return b.String()
}

func manyWords(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "w%d, ", i)
	}
	return b.String()
}

func manyServices(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- {name: service-%d, host: x}\n", i)
	}
	return b.String()
}

func manyRoutes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- {paths: [/], service: servce-%d}\n", i)
	}
	return b.String()
}

// TestManyWrongPluginKeys wants many mistakes in one configuration to be cheap, too.
func TestManyWrongPluginKeys(t *testing.T) {
	set := mustParse(t, "_format_version: '3.0'\nplugins:\n- name: hello-go\n  config:\n    "+strings.ReplaceAll(manyKeys(20000), "\n", "\n    "))
	var errs Errors
	if err := ResolvePlugins(set, manifests(), nil); !errors.As(err, &errs) || len(errs) != mostErrors {
		t.Errorf("%d errors, want %d", len(errs), mostErrors)
	}
}

func TestLoadFiles(t *testing.T) {
	dir := t.TempDir()
	var errs Errors
	_, err := Load(filepath.Join(dir, "missing.yaml"), nil)
	if !errors.As(err, &errs) || errs[0].Code != CodeUnreadable || !strings.Contains(err.Error(), "missing.yaml: found no such file or directory, expected a file that can be read") {
		t.Errorf("a missing file gives %v", err)
	}
	if _, err := Load(dir, nil); !errors.As(err, &errs) || errs[0].Code != CodeUnreadable {
		t.Errorf("a directory gives %v", err)
	}
	if _, err := LoadSettings(filepath.Join(dir, "missing.yaml"), nil, nil); !errors.As(err, &errs) || errs[0].Code != CodeUnreadable {
		t.Errorf("missing settings give %v", err)
	}
	file := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(file, []byte("_format_version: '3.0'\nservices: [{name: a, host: b}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Load(file, nil)
	if err != nil || set.Services[0].Pos != (entity.Pos{File: file, Line: 2, Col: 12}) || len(set.Hash) != 32 {
		t.Errorf("set %+v, error %v", set, err)
	}
	if file := os.DevNull; true {
		if set, err := Load(file, nil); err != nil || set.Hash != emptyHash {
			t.Errorf("%s gives %+v, %v", file, set, err)
		}
	}
}
