package main

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestLaunchAndStop(t *testing.T) {
	p, err := launch(t.Context(), "sleeper", t.TempDir(), []string{"WORDS=ready on"}, "sh", "-c", `echo "it is $WORDS 127.0.0.1:1"; exec sleep 60`)
	if err != nil {
		t.Fatal(err)
	}
	if p.address != "127.0.0.1:1" || p.running() != nil {
		t.Errorf("found %q, %v", p.address, p.running())
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if p.running() == nil {
		t.Error("it is said to run after its end")
	}
	if err := syscall.Kill(p.pid(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", p.pid(), err)
	}
}

func TestLaunchTellsWhyNot(t *testing.T) {
	_, err := launch(t.Context(), "broken", t.TempDir(), nil, "sh", "-c", "echo the reason >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), "exit status 3") {
		t.Fatalf("found %v, expected the exit status and the log", err)
	}
	if _, err := launch(t.Context(), "missing", t.TempDir(), nil, "/nowhere/program"); err == nil {
		t.Fatal("a program that is not there was started")
	}
}

func TestLaunchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := launch(ctx, "silent", t.TempDir(), nil, "sleep", "60"); !errors.Is(err, context.Canceled) {
		t.Fatalf("found %v", err)
	}
}
