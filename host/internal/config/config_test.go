package config

import (
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

func mustParse(t *testing.T, text string) *entity.Set {
	t.Helper()
	set, err := Parse("gateway.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestParseNestedAndByReference(t *testing.T) {
	set := mustParse(t, `
_format_version: "3.0"
services:
- name: orders
  url: https://orders.example/api
  routes:
  - name: orders
    paths: [/orders, '~/o/(?<id>\d+)$']
    plugins:
    - name: hello
      config: {greeting: hi}
  plugins:
  - name: stamp
    consumer: ann
routes:
- name: bare
  service: {name: orders}
  hosts: ["*.example.com"]
consumers:
- username: ann
  keyauth_credentials: [{key: secret}]
  groups: [{name: gold}, silver]
- custom_id: "7"
consumer_groups:
- name: silver
- name: gold
  consumers: [ann]
keyauth_credentials:
- consumer: ann
  key: other
plugins:
- name: hello
- name: hello
  route: bare
  timeout: 250ms
  fail_mode: open
`)
	s := set.Services[0]
	if s.Protocol != "https" || s.Host != "orders.example" || s.Port != 443 || s.Path != "/api" || s.Retries != 5 || !s.Enabled || s.ReadTimeout != 60000 {
		t.Errorf("service %+v", s)
	}
	if len(set.Routes) != 2 || set.Routes[0].Service != s || set.Routes[1].Service != s || !set.Routes[0].StripPath {
		t.Errorf("routes %+v %+v", set.Routes[0], set.Routes[1])
	}
	ann := set.Consumers[0]
	if len(ann.Groups) != 2 || ann.Groups[0].Name != "gold" || len(set.KeyAuths) != 2 || set.KeyAuths[1].Consumer != ann {
		t.Errorf("consumer %+v", ann)
	}
	var scopes []string
	for _, p := range set.Plugins {
		scopes = append(scopes, p.Name+" "+p.Scope())
	}
	want := []string{"hello route orders", "stamp service orders, consumer ann", "hello global", "hello route bare"}
	if len(scopes) != len(want) {
		t.Fatalf("plugins %q, want %q", scopes, want)
	}
	for i := range want {
		if scopes[i] != want[i] {
			t.Errorf("plugin %d is %q, want %q", i, scopes[i], want[i])
		}
	}
	if p := set.Plugins[3]; p.Timeout != 250*time.Millisecond || p.FailMode != "open" {
		t.Errorf("plugin %+v", p)
	}
	if p := set.Plugins[0]; p.Config["greeting"] != "hi" || p.At([]string{"greeting"}).Line != 11 || p.Path != "services[0].routes[0].plugins[0]" {
		t.Errorf("plugin %+v at %v", p, p.At([]string{"greeting"}))
	}
}

func TestEmptyIsValid(t *testing.T) {
	for _, text := range []string{"", "\n# nothing\n", "{}", "_format_version: '3.0'", "_format_version: '3.0'\nservices: null\nplugins: []"} {
		set := mustParse(t, text)
		if len(set.Services)+len(set.Plugins) != 0 || set.Hash != emptyHash {
			t.Errorf("%q gives %+v", text, set)
		}
	}
}

// Defaults of _info reach nested entities too, and what an entity says counts before them.
func TestDefaultsOfTargets(t *testing.T) {
	set := mustParse(t, `
_format_version: "3.0"
_info: {defaults: {upstream: {host_header: from.defaults}, target: {weight: 7, tags: [a]}}}
upstreams:
- name: one
  targets: [{target: "10.0.0.1:80"}, {target: "10.0.0.2:80", weight: 9, tags: null}]
- {name: two, host_header: own}
targets:
- {target: "10.0.0.3:80", upstream: two}
`)
	one, two := set.Upstreams[0], set.Upstreams[1]
	if one.HostHeader != "from.defaults" || two.HostHeader != "own" {
		t.Errorf("host headers %q, %q", one.HostHeader, two.HostHeader)
	}
	if one.Targets[0].Weight != 7 || one.Targets[1].Weight != 9 || two.Targets[0].Weight != 7 || len(one.Targets[0].Tags) != 1 || one.Targets[1].Tags != nil {
		t.Errorf("found %+v %+v %+v", one.Targets[0], one.Targets[1], two.Targets[0])
	}
}
