package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSettingsPage keeps docs/settings.md equal to the table of settings; run it with -update after a change.
func TestSettingsPage(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Settings

<!-- Written from the table of settings by "go test ./host/internal/config -run SettingsPage -update". Do not edit. -->

The static settings stand in ` + "`outrigger.yaml`" + `. Each is also an environment variable and a flag; a flag wins over a variable, a variable over the
file, the file over the default. Settings that Kong has too have Kong's names and values. Relative paths in the file start from its directory. Lists may
be written with commas; ` + "`plugin_servers`" + ` as a variable or flag is YAML or JSON text.

| Setting | Flag | Type | Default | Meaning |
|---|---|---|---|---|
`)
	cell := func(s string) string {
		if s == "" {
			return "–"
		}
		return "`" + s + "`"
	}
	var fields []Setting
	for _, s := range SettingDocs() {
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s | %s |\n", s.Name, s.Flag, s.Type, cell(s.Default), s.Doc)
		fields = append(fields, s.Fields...)
	}
	b.WriteString("\nThe variable of a setting is `OUTRIGGER_` and its name in upper case, such as `OUTRIGGER_PROXY_LISTEN`.\n\n")
	b.WriteString("## Fields of a plugin server\n\n| Field | Type | Default | Meaning |\n|---|---|---|---|\n")
	for _, f := range fields {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, cell(f.Default), f.Doc)
	}
	page := filepath.Join("..", "..", "..", "docs", "settings.md")
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != b.String() {
		t.Error("docs/settings.md is not what the table of settings says: run this test with -update")
	}
}
