package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/server"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func TestHello(t *testing.T) {
	p, err := server.Plugin(New, Version, Priority)
	if err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{`{}`: "Go says hello to gw.test", `{"message":"hi"}`: "Go says hi to gw.test"} {
		x := pdktest.New(pdktest.Request{URL: "http://gw.test/"})
		if err := x.Use(p, config); err != nil {
			t.Fatal(err)
		}
		if res := x.Run(); len(res.Failures) > 0 || res.Response.Header.Get("X-Hello-From-Go") != want {
			t.Errorf("%s: %+v", config, res)
		}
	}
	if err := pdktest.New(pdktest.Request{}).Use(p, `{"Message":"upper case"}`); err == nil {
		t.Error("a field is called by its Go name, not in lower case as in Kong")
	}
}

// TestTheProgramIsAPluginServer builds the plugin and asks the program what it hosts.
func TestTheProgramIsAPluginServer(t *testing.T) {
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Minute)
	defer stop()
	program := filepath.Join(t.TempDir(), "go-hello")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	var stdout, stderr bytes.Buffer
	run := exec.CommandContext(ctx, program, "--describe")
	run.Stdout, run.Stderr = &stdout, &stderr
	if err := run.Run(); err != nil {
		t.Fatalf("running: %v\n%s", err, &stderr)
	}
	var said struct {
		Plugins []struct {
			Name, Version string
			Priority      int
			Phases        []string
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &said); err != nil || len(said.Plugins) != 1 {
		t.Fatalf("%s: %v", &stdout, err)
	}
	if p := said.Plugins[0]; p.Name != "go-hello" || p.Version != "0.2" || p.Priority != 1 || len(p.Phases) != 1 || p.Phases[0] != "access" {
		t.Errorf("the program says %+v", p)
	}
}
