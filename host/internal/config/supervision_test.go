package config

import (
	"testing"
	"time"
)

func TestSupervisionSettings(t *testing.T) {
	text := `[{name: a, command: x, health_interval: 250, quarantine: off, crash_loop: {deaths: 3, within: 10s, hold: 500},
  recycle: {calls: 100000, memory: 300m, age: 24h}}, {name: b, command: x, crash_loop: {deaths: 0}}, {name: c, address: "unix:///x", health_interval: 1s}]`
	s, err := LoadSettings("", []string{"OUTRIGGER_PLUGIN_SERVERS=" + text}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Supervision{
		{
			HealthInterval: 250 * time.Millisecond, CrashDeaths: 3, CrashWithin: 10 * time.Second, CrashHold: 500 * time.Millisecond,
			RecycleCalls: 100000, RecycleMemory: 300 << 20, RecycleAge: 24 * time.Hour, Quarantine: "off",
		},
		{HealthInterval: 5 * time.Second, CrashDeaths: -1, Quarantine: "on"},
		{HealthInterval: time.Second, Quarantine: "on"},
	} {
		if got := s.PluginServers[i].Supervision; got != want {
			t.Errorf("server %d: %+v, want %+v", i, got, want)
		}
	}
}
