package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../../.." // of the module

// The archive is the same whenever it is made, and holds what plugins need of the module and nothing else.
func TestPack(t *testing.T) {
	first, err := pack(root)
	if err != nil {
		t.Fatal(err)
	}
	second, err := pack(root)
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("packing twice gives other bytes, %v", err)
	}
	z, err := zip.NewReader(bytes.NewReader(first), int64(len(first)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(text)
		if strings.HasSuffix(f.Name, "_test.go") || strings.Contains(f.Name, "conformance") || strings.Contains(f.Name, "vectors") || strings.HasPrefix(f.Name, "host/") || strings.HasPrefix(f.Name, "plugins/") || !f.Modified.IsZero() && f.Modified.Year() > 1980 {
			t.Errorf("found %s of %v", f.Name, f.Modified)
		}
	}
	for _, name := range []string{"LICENSE", "go.sum", "pdk/plugin.go", "pdk/server/serve.go", "pdk/pdktest/pdktest.go", "proto/wire/frame.go"} {
		want, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if files[name] != string(want) {
			t.Errorf("%s is not that of the module", name)
		}
	}
	if !regexp.MustCompile(`^module github.com/outrigger-gateway/outrigger\n\ngo 1\.\d+\.\d+\n\nrequire \(\n(\t\S+ v\S+\n)+\)\n$`).MatchString(files["go.mod"]) {
		t.Errorf("go.mod is\n%s", files["go.mod"])
	}
	for module, wanted := range map[string]bool{"\tgoogle.golang.org/grpc v": true, "\tgoogle.golang.org/protobuf v": true, "fasthttp": false, "go-plugin": false} {
		if strings.Contains(files["go.mod"], module) != wanted {
			t.Errorf("go.mod requires %q: %v, expected %v", module, !wanted, wanted)
		}
	}
}

func TestPackElsewhere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.org/other\n\ngo 1.26\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pack(dir); err == nil {
		t.Error("a module without pdk is packed, expected an error")
	}
}
