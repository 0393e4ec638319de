package lastgood

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The old and the new process of an upgrade may keep at once. Nothing fails, and no more is kept than by one.
func TestKeepByTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var all sync.WaitGroup
	for p := range 2 {
		all.Go(func() {
			store := In(dir)
			for n := range 4 * Most { // each is synced to the disk
				if err := store.Keep(hash(1000*p+n), "gateway.yaml", []byte(fmt.Sprint(p, n)), begun.Add(time.Duration(n)*time.Second)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := In(dir).Keep(hash(1), "gateway.yaml", []byte("last"), begun); err != nil {
		t.Fatal(err)
	}
	kept, text, err := In(dir).Find("")
	if err != nil || kept.Hash != hash(1) || string(text) != "last" {
		t.Errorf("found %+v with %q, %v; expected what was kept last", kept, text, err)
	}
	list, err := In(dir).List()
	if err != nil || len(list) != Most {
		t.Errorf("found %d configurations, %v; expected %d", len(list), err, Most)
	}
}

// A machine may begin with a clock that is wrong. What was kept in its future does not stay the newest.
func TestKeepAfterTheClockWasSetBack(t *testing.T) {
	store, now := In(t.TempDir()), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for n, at := range []time.Time{now.AddDate(10, 0, 0), now, now.Add(time.Second)} {
		if err := store.Keep(hash(n), "gateway.yaml", nil, at); err != nil {
			t.Fatal(err)
		}
		if kept, _, err := store.Find(""); err != nil || kept.Hash != hash(n) {
			t.Errorf("found %+v, %v; expected the one of %v", kept, err, at)
		}
	}
}

// What a write that was interrupted has left is removed when it is old. What is young may be under way in another process.
func TestKeepRemovesInterruptedWrites(t *testing.T) {
	store := In(t.TempDir())
	now := time.Now()
	if err := os.MkdirAll(store.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{".writing-1": 2 * time.Hour, ".writing-2": time.Minute, "notes": 1000 * time.Hour} {
		path := filepath.Join(store.dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Keep(hash(1), "gateway.yaml", nil, now); err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{".writing-1": false, ".writing-2": true, "notes": true} {
		if _, err := os.Stat(filepath.Join(store.dir, name)); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever can write into the directory would choose what the gateway starts with.
func TestADirectoryOfOthers(t *testing.T) {
	store := In(t.TempDir())
	if err := store.Keep(hash(1), "gateway.yaml", nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(store.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	_, _, err := store.Find("")
	if kerr := store.Keep(hash(2), "gateway.yaml", nil, time.Now()); err == nil || kerr == nil || !strings.Contains(err.Error(), "in which others can write") {
		t.Errorf("found %v and %v", err, kerr)
	}
}
