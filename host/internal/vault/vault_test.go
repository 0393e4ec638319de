package vault

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

var env = []string{
	"MY_PASS=s3cret", "MY_PASS_PREVIOUS=old", "APP_DB=prefixed", "EMPTY=", "WITH=a=b",
	`JSON={"user": "ann", "pass": "p\"w", "port": 5432, "on": true, "none": null, "list": [1]}`,
}

func TestGet(t *testing.T) {
	r := New(env)
	for reference, want := range map[string]string{
		"{vault://env/my-pass}":         "s3cret",
		"{vault://env/MY_PASS}":         "s3cret",
		"{vault://env/my-pass#1}":       "s3cret",
		"{vault://env/my-pass#2}":       "old",
		"{vault://env/db?prefix=app-}":  "prefixed",
		"{vault://env/empty}":           "",
		"{vault://env/with}":            "a=b",
		"{vault://env/json/user}":       "ann",
		"{vault://env/json/pass}":       `p"w`,
		"{vault://env/json/port}":       "5432",
		"{vault://env/json/on}":         "true",
		"{vault://env/n?prefix=js%6f}":  env[5][len("JSON="):],
		"{vault://env/json?prefix=}":    env[5][len("JSON="):],
		"{vault://env/json/user#1}":     "ann",
		"{vault://env/json/user?other}": "ann",
	} {
		for range 2 { // the second time out of the cache
			if got, err := r.Get(reference); err != nil || got != want {
				t.Errorf("%s: %q, %v; want %q", reference, got, err, want)
			}
		}
	}
}

func TestGetFails(t *testing.T) {
	r := New(env)
	for reference, want := range map[string]string{
		"{vault://env/gone}":         "vault env: there is no environment variable GONE",
		"{vault://aws/my-pass}":      `there is no vault "aws"; expected env`,
		"{vault://env/my-pass#3}":    "found version 3",
		"{vault://env/my-pass/x}":    `the secret is not a JSON object, so that it has no key "x"`,
		"{vault://env/json/gone}":    `the secret has no key "gone"`,
		"{vault://env/json/none}":    `the secret has no key "none"`,
		"{vault://env/json/list}":    `the key "list" of the secret is not a plain value`,
		"{vault://env/json#2}":       "JSON_PREVIOUS",
		"my-pass":                    "",
		"{vault://env}":              "",
		"{vault://env/my-pass#next}": "",
	} {
		got, err := r.Get(reference)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", reference, got, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "ann")) {
			t.Errorf("%s: the error shows the secret: %v", reference, err)
		}
	}
}

func TestUpdate(t *testing.T) {
	r := New(env)
	options := map[string]any{
		"password": "stale", "gone": "stale", "other": int64(1),
		"$refs": map[string]any{"password": "{vault://env/my-pass}", "gone": "{vault://env/gone}", "new": []byte("{vault://env/json/user}"), "odd": int64(5)},
	}
	want := map[string]any{"password": "s3cret", "gone": "stale", "other": int64(1), "new": "ann", "$refs": options["$refs"]}
	if got := r.Update(options); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if options["password"] != "stale" {
		t.Error("the given map was changed")
	}
	if got := r.Update(map[string]any{"a": true}); !reflect.DeepEqual(got, map[string]any{"a": true}) {
		t.Errorf("without $refs: %v", got)
	}
}

// A secret is read again when its time is over; one that is not there is not kept at all.
func TestSecretsAreKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(env)
		reads := 0
		read := r.vaults["env"]
		r.vaults["env"] = func(ref pdk.Reference) (string, error) { reads++; return read(ref) }
		get := func(name string) { _, _ = r.Get("{vault://env/" + name + "}") }
		get("my-pass")
		time.Sleep(kept / 2)
		get("my-pass")
		time.Sleep(kept/2 - 1)
		get("my-pass")
		if reads != 1 {
			t.Errorf("read %d times while it is kept", reads)
		}
		time.Sleep(2 * time.Nanosecond)
		get("my-pass")
		if reads != 2 {
			t.Errorf("read %d times after it was kept for its time", reads)
		}
		get("gone")
		get("gone")
		if reads != 4 {
			t.Errorf("%d reads: what is not there was kept", reads)
		}
	})
}

// However many references come, and however long they are, a bounded number of bytes is kept.
func TestBounded(t *testing.T) {
	r := New(env)
	for i := range 40 {
		reference := fmt.Sprintf("{vault://env/my-pass?x=%d%s}", i, strings.Repeat("y", 1<<20))
		if secret, err := r.Get(reference); secret != "s3cret" || err != nil {
			t.Fatalf("found %q, %v", secret, err)
		}
	}
	if n := r.secrets.Len(); n < 1 || n > most>>20 {
		t.Errorf("%d references of 1 MiB are kept, at most %d may be", n, most>>20)
	}
}
