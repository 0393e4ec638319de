package config

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

var update = flag.Bool("update", false, "write what the code answers into the files of testdata")

// separator stands between a document and what is expected of it. The document is what comes before.
const separator = "#---- expected:\n"

// golden runs answer on the document of every file of a directory.
func golden(t *testing.T, dir string, answer func(t *testing.T, name, document string) string) {
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			document, want, _ := strings.Cut(string(data), separator)
			got := answer(t, filepath.Base(file), document)
			if *update {
				if err := os.WriteFile(file, []byte(document+separator+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// errorLines is the text of an error that must be of type Errors, each with a code.
func errorLines(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return "no error\n"
	}
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("error of type %T: %v", err, err)
	}
	for _, e := range errs {
		if e.Code == "" || e.Found == "" || e.Expected == "" {
			t.Errorf("incomplete: %#v", e)
		}
	}
	return err.Error() + "\n"
}

func TestBadDocuments(t *testing.T) {
	golden(t, "bad", func(t *testing.T, name, document string) string {
		set, err := Parse(name, []byte(document))
		if err == nil {
			err = ResolvePlugins(set, manifests(), nil)
		}
		return errorLines(t, err)
	})
}

func TestBadSettings(t *testing.T) {
	golden(t, "settings-bad", func(t *testing.T, name, document string) string {
		_, err := parseSettings(name, []byte(document), nil, nil)
		return errorLines(t, err)
	})
}

// TestGoodDocuments compares the whole set: entities, ids, references by id, defaults.
func TestGoodDocuments(t *testing.T) {
	golden(t, "good", func(t *testing.T, name, document string) string {
		set, err := Parse(name, []byte(document))
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(name, []byte(document))
		if err != nil {
			t.Fatal(err)
		}
		text := dump(t, set)
		if text != dump(t, again) {
			t.Error("a second load gives another set")
		}
		return text
	})
}

func dump(t *testing.T, set *entity.Set) string {
	t.Helper()
	var b strings.Builder
	line := func(what string, v any) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(what + " " + string(text) + "\n")
	}
	for _, s := range set.Services {
		line("service", s)
	}
	for _, r := range set.Routes {
		flat := *r
		flat.Service = nil
		line("route", flat)
		if r.Service != nil {
			line("  service", r.Service.ID)
		}
	}
	for _, c := range set.Consumers {
		line("consumer", c)
		for _, g := range c.Groups {
			line("  group", g.Name)
		}
	}
	for _, g := range set.ConsumerGroups {
		line("group", g)
	}
	for _, k := range set.KeyAuths {
		line("key", k)
		line("  consumer", k.Consumer.ID)
	}
	for _, c := range set.BasicAuths {
		line("basic", c)
		line("  consumer", c.Consumer.ID)
	}
	for _, a := range set.ACLs {
		line("acl", a)
		line("  consumer", a.Consumer.ID)
	}
	for _, u := range set.Upstreams {
		flat := *u
		flat.Targets = nil
		line("upstream", flat)
		for _, target := range u.Targets {
			line("  target", target)
		}
	}
	for _, s := range set.Services {
		if s.Upstream != nil {
			line("balanced", s.Name+" "+s.Upstream.Name)
		}
	}
	for _, p := range set.Plugins {
		flat := *p
		flat.At, flat.KeyAt, flat.FieldAt = nil, nil, nil
		flat.Service, flat.Route, flat.Consumer, flat.ConsumerGroup = nil, nil, nil, nil
		line("plugin", struct {
			ID, Name, InstanceName, Scope, Path string
			Config                              map[string]any
			Protocols, Tags                     []string
			Enabled                             bool
			Timeout                             int
			FailMode                            string
			FailStatus                          int
		}{p.ID, p.Name, p.InstanceName, p.Scope(), p.Path, p.Config, p.Protocols, p.Tags, p.Enabled, int(p.Timeout.Milliseconds()), p.FailMode, p.FailStatus})
		if !p.Ordering.Empty() || p.Disables() || p.Inherit || p.Stack || p.Priority != nil || p.Condition != "" || len(p.Partials) > 0 {
			line("  placement", struct {
				Ordering       entity.Ordering
				Mode           string
				Inherit, Stack bool
				Priority       *int
				Condition      string
				OnFalse        string
				Partials       int
			}{p.Ordering, p.Mode, p.Inherit, p.Stack, p.Priority, p.Condition, p.OnFalse, len(p.Partials)})
		}
	}
	for _, p := range set.Partials {
		line("partial", p)
	}
	for _, v := range set.Vaults {
		line("vault", v)
	}
	for _, c := range set.Certificates {
		line("certificate", c.ID)
	}
	for _, s := range set.SNIs {
		line("sni", s)
		line("  certificate", s.Certificate.ID)
	}
	for _, c := range set.CACertificates {
		line("ca", []string{c.ID, c.CertDigest})
	}
	for _, k := range set.KeySets {
		line("key set", k)
	}
	for _, k := range set.Keys {
		line("crypto key", k)
		if k.Set != nil {
			line("  set", k.Set.ID)
		}
	}
	for _, c := range set.HMACAuths {
		line("hmac", c)
		line("  consumer", c.Consumer.ID)
	}
	for _, c := range set.JWTSecrets {
		line("jwt", c)
		line("  consumer", c.Consumer.ID)
	}
	for _, c := range set.OAuth2 {
		line("oauth2", c)
		line("  consumer", c.Consumer.ID)
	}
	for _, c := range set.ClonedPlugins {
		flat := *c
		flat.FieldAt = nil
		line("clone", flat)
	}
	line("hash", set.Hash)
	return b.String()
}
