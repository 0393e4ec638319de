package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
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
		"{vault://aws/my-pass}":      `there is no vault "aws"; expected env or file`,
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
		r.Provide("env", counted{r.providers["env"], &reads})
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

// counted counts the reads of a provider.
type counted struct {
	Provider
	reads *int
}

func (c counted) Get(options map[string]string, ref pdk.Reference) (string, error) {
	*c.reads++
	return c.Provider.Get(options, ref)
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

func vaultNamed(prefix, kind string, options map[string]string) *entity.Vault {
	return &entity.Vault{Prefix: prefix, Type: kind, Config: options, OnFailure: entity.OnFailureReject}
}

func TestNamedVaults(t *testing.T) {
	r := New(env).With([]*entity.Vault{vaultNamed("apps", "env", map[string]string{"prefix": "app-"}), vaultNamed("all", "env", nil)}, "")
	for reference, want := range map[string]string{
		"{vault://apps/db}":                "prefixed",
		"{vault://all/my-pass}":            "s3cret",
		"{vault://all/my-pass#2}":          "old",
		"{vault://env/json/user}":          "ann",
		"{vault://apps/my-pass?prefix=}":   "s3cret", // what the reference says counts before the vault
		"{vault://all/db?prefix=APP_}":     "prefixed",
		"{vault://apps/json/user?prefix=}": "ann",
	} {
		if got, err := r.Get(reference); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", reference, got, err, want)
		}
	}
	if _, err := r.Get("{vault://app/db}"); err == nil || !strings.Contains(err.Error(), `there is no vault "app"; expected all, apps, env or file`) {
		t.Errorf("found %v", err)
	}
}

// Two vaults that read one reference otherwise do not get each other's secrets out of what is kept.
func TestVaultsOfTheSameNameAreApart(t *testing.T) {
	base := New(env)
	plain, prefixed := base.With([]*entity.Vault{vaultNamed("v", "env", nil)}, ""), base.With([]*entity.Vault{vaultNamed("v", "env", map[string]string{"prefix": "MY_"})}, "")
	if _, err := plain.Get("{vault://v/my-pass}"); err != nil {
		t.Fatal(err)
	}
	if got, err := prefixed.Get("{vault://v/my-pass}"); err == nil {
		t.Errorf("found %q of another vault", got)
	}
	if got, err := prefixed.Get("{vault://v/pass}"); err != nil || got != "s3cret" {
		t.Errorf("found %q, %v", got, err)
	}
}

func TestFiles(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "db"), "s3cret\n")
	write(filepath.Join(dir, "json"), `{"user": "ann"}`)
	write(filepath.Join(dir, "large"), strings.Repeat("x", longestSecret+1))
	write(filepath.Join(outside, "other"), "outside")
	if err := errors.Join(os.Symlink(filepath.Join(outside, "other"), filepath.Join(dir, "link")), os.Mkdir(filepath.Join(dir, "sub"), 0o700)); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, "sub", "deep"), "two\r\n")
	r := New(nil).With([]*entity.Vault{vaultNamed("s", "file", map[string]string{"directory": dir}), vaultNamed("none", "file", map[string]string{"directory": filepath.Join(dir, "gone")})}, "")
	for reference, want := range map[string]string{
		"{vault://s/db}": "s3cret", "{vault://s/json/user}": "ann", "{vault://s/sub%2Fdeep}": "two", "{vault://s/sub%2F..%2Fdb}": "s3cret",
	} {
		if got, err := r.Get(reference); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", reference, got, err, want)
		}
	}
	for reference, want := range map[string]string{
		"{vault://s/gone}":                               `there is no file "gone"`,
		"{vault://s/link}":                               "opening the secret",
		"{vault://s/..%2Fother}":                         "opening the secret",
		"{vault://s/%2Fetc%2Fpasswd}":                    "opening the secret",
		"{vault://s/sub}":                                "not a regular file",
		"{vault://s/large}":                              "more than 1 MiB",
		"{vault://s/db#2}":                               "files have none",
		"{vault://none/db}":                              "opening the directory",
		"{vault://file/db}":                              "expected a vault of type file in the configuration",
		"{vault://file/other?directory=" + outside + "}": "expected a vault of type file in the configuration",
		"{vault://s/other?directory=" + outside + "}":    `there is no file "other"`,
	} {
		if got, err := r.Get(reference); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", reference, got, err, want)
		}
	}
}

// failing is a vault that can be switched off.
type failing struct {
	reads int
	gone  bool
}

func (f *failing) Get(map[string]string, pdk.Reference) (string, error) {
	f.reads++
	if f.gone {
		return "", errors.New("the vault does not answer")
	}
	return fmt.Sprint("secret ", f.reads), nil
}

func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &failing{}
		r := New(nil)
		r.Provide("test", p)
		r = r.With([]*entity.Vault{
			vaultNamed("v", "test", map[string]string{"ttl": "10", "neg_ttl": "5", "resurrect_ttl": "100"}), vaultNamed("ever", "test", map[string]string{"ttl": "0"}),
		}, "")
		want := func(reference, secret string, reads int) {
			t.Helper()
			got, err := r.Get(reference)
			if (secret == "") != (err != nil) || got != secret || p.reads != reads {
				t.Errorf("found %q, %v after %d reads; expected %q after %d", got, err, p.reads, secret, reads)
			}
		}
		want("{vault://v/a}", "secret 1", 1)
		time.Sleep(9 * time.Second)
		want("{vault://v/a}", "secret 1", 1)
		time.Sleep(2 * time.Second)
		want("{vault://v/a}", "secret 2", 2)
		p.gone = true
		time.Sleep(11 * time.Second)
		want("{vault://v/a}", "secret 2", 3) // past its time, and nothing better
		time.Sleep(90 * time.Second)
		want("{vault://v/a}", "secret 2", 4)
		time.Sleep(10 * time.Second)
		want("{vault://v/a}", "", 5)
		time.Sleep(4 * time.Second)
		want("{vault://v/a}", "", 5) // that there is none is kept too
		p.gone = false
		want("{vault://v/a}", "", 5)
		time.Sleep(2 * time.Second)
		want("{vault://v/a}", "secret 6", 6)
		want("{vault://v/a?ttl=1}", "secret 7", 7)
		want("{vault://ever/a}", "secret 8", 8)
		time.Sleep(1000 * time.Hour)
		want("{vault://ever/a}", "secret 8", 8)
	})
}

func TestOnFailure(t *testing.T) {
	soft := vaultNamed("soft", "env", nil)
	soft.OnFailure = entity.OnFailureEmpty
	r := New(env).With([]*entity.Vault{soft}, entity.OnFailureRequest)
	for reference, want := range map[string]string{
		"{vault://soft/a}": entity.OnFailureEmpty, "{vault://env/a}": entity.OnFailureRequest, "{vault://gone/a}": entity.OnFailureReject,
		"{vault://soft}": entity.OnFailureReject, "no reference": entity.OnFailureReject,
	} {
		if got := r.OnFailure(reference); got != want {
			t.Errorf("%s: %s, want %s", reference, got, want)
		}
	}
	if got := New(env).OnFailure("{vault://env/a}"); got != entity.OnFailureReject {
		t.Errorf("by default: %s", got)
	}
}
