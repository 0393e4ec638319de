package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCanarySettings(t *testing.T) {
	standard := DefaultCanary()
	for text, want := range map[string]*Canary{
		"{}": &standard, "on": &standard, "off": nil, "~": nil, "false": nil,
		"{share: 25%, for: 90s, min_calls: 0, errors: 0%, latency: off}":      {Share: 0.25, For: 90 * time.Second},
		"{share: 0.5, for: 2, min_calls: 7, errors: 0.125, latency: 1.5}":     {Share: 0.5, For: 2 * time.Second, MinCalls: 7, Errors: 0.125, Latency: 1.5},
		`{share: "100%", for: 0, errors: 100%, latency: "3x"}`:                {Share: 1, MinCalls: 100, Errors: 1, Latency: 3},
		"{share: 0.01%, latency: false, for: 1h, min_calls: 1, errors: 1.5%}": {Share: 0.0001, For: time.Hour, MinCalls: 1, Errors: 0.015},
	} {
		s, err := LoadSettings("", []string{"OUTRIGGER_PLUGIN_SERVERS=[{name: a, command: x, canary: " + text + "}]"}, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := s.PluginServers[0].Canary; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: found %v, expected %v", text, got, want)
		}
	}
}

func TestReplacementBody(t *testing.T) {
	standard := DefaultCanary()
	for text, want := range map[string]Replacement{
		"": {Settled: true}, " {} ": {Settled: true},
		`{"command": ["a", "b c"]}`:                  {Command: []string{"a", "b c"}, Settled: true},
		`{"command": "a 'b c'", "canary": {}}`:       {Command: []string{"a", "b c"}, Canary: &standard},
		`{"canary": null}`:                           {},
		`{"canary": false}`:                          {},
		`{"canary": {"share": "10%", "latency": 2}}`: {Canary: &Canary{Share: 0.1, For: time.Minute, MinCalls: 100, Errors: 0.01, Latency: 2}},
	} {
		if got, err := ParseReplacement([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: found %+v, %v; expected %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"{":                        "expected JSON",
		"{} {}":                    "expected JSON",
		"[]":                       "a replacement, which is a mapping",
		`{"comand": ["x"]}`:        `found unknown key "comand", expected a key of a replacement (nearest: command)`,
		`{"command": []}`:          "command: found an empty list",
		`{"canary": {"share": 0}}`: "canary.share: found 0, expected a part of the requests such as 5%, above 0% to 100%",
		`{"canary": {"share": 2}}`: "canary.share: found 2",
		`{"canary": {"for": "x"}}`: "canary.for",
		`{"canary": "much"}`:       "a canary, which is a mapping",
	} {
		if _, err := ParseReplacement([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: found the error %v, expected %q", text, err, want)
		}
	}
}

func FuzzReplacement(f *testing.F) {
	f.Add([]byte(`{"command": ["a"], "canary": {"share": "5%"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := ParseReplacement(data); err == nil && r.Canary != nil && (r.Canary.Share <= 0 || r.Canary.Share > 1) {
			t.Errorf("found the share %v", r.Canary.Share)
		}
	})
}
