package balancer

import (
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Every row of the table in spec/gateway.md 7.5: limits of 1 and 3, kinds that are off, counters that others clear.
func TestStatesOfHealth(t *testing.T) {
	limits := map[byte]struct {
		kind  kind
		limit int
	}{
		's': {success, 2}, 'S': {success, 1}, 't': {tcpFailure, 3}, 'T': {tcpFailure, 1}, 'o': {timeoutFailure, 2}, 'h': {httpFailure, 3},
		'0': {tcpFailure, 0}, 'z': {success, 0},
	}
	for _, c := range []struct{ from, events, want string }{
		{"healthy", "", "healthy"},
		{"healthy", "sss", "healthy"},
		{"healthy", "t", "mostly_healthy"},
		{"healthy", "T", "unhealthy"},
		{"healthy", "tt", "mostly_healthy"},
		{"healthy", "ttt", "unhealthy"},
		{"healthy", "tts", "healthy"},
		{"healthy", "ttstt", "mostly_healthy"},   // the success had cleared the counter
		{"healthy", "tthh", "mostly_healthy"},    // each kind by itself
		{"healthy", "tthho", "mostly_healthy"},   // each kind by itself
		{"healthy", "tthhoo", "unhealthy"},       // two timeouts are enough
		{"healthy", "00000", "healthy"},          // limit 0 never changes the state
		{"healthy", "tt0zt", "unhealthy"},        // nor a counter
		{"unhealthy", "", "unhealthy"},           //
		{"unhealthy", "ttt", "unhealthy"},        //
		{"unhealthy", "s", "mostly_unhealthy"},   //
		{"unhealthy", "S", "healthy"},            //
		{"unhealthy", "ss", "healthy"},           //
		{"unhealthy", "st", "unhealthy"},         //
		{"unhealthy", "sts", "mostly_unhealthy"}, // the failure had cleared the counter
		{"unhealthy", "zzzz", "unhealthy"},       //
		{"unhealthy", "sstt", "mostly_healthy"},  // it starts anew
	} {
		h := health{}
		h.set(c.from == "healthy")
		for i := range len(c.events) {
			e := limits[c.events[i]]
			h.count(e.kind, e.limit)
		}
		if got := h.state(); got != c.want || h.unhealthy != (c.want == "unhealthy" || c.want == "mostly_unhealthy") {
			t.Errorf("%s and %q: %s, want %s", c.from, c.events, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	good, bad := &entity.Successes{Statuses: []int{200, 302}, Successes: 1}, &entity.Failures{Statuses: []int{429, 500}, TCP: 2, Timeouts: 3, HTTP: 4}
	for _, c := range []struct {
		o     Outcome
		check string
		kind  kind
		limit int
	}{
		{Outcome{Status: 200}, "http", success, 1},
		{Outcome{Status: 500}, "http", httpFailure, 4},
		{Outcome{Status: 404}, "http", success, 0}, // in neither list
		{Outcome{Status: 504}, "http", timeoutFailure, 3},
		{Outcome{Failed: true}, "http", tcpFailure, 2},
		{Outcome{Failed: true, Timeout: true}, "http", timeoutFailure, 3},
		{Outcome{Status: 500}, "tcp", success, 1}, // a connection is all that counts
		{Outcome{Failed: true}, "grpcs", tcpFailure, 2},
	} {
		if k, limit := judge(c.o, c.check, good, bad); k != c.kind || limit != c.limit {
			t.Errorf("%+v of %s: kind %d, limit %d, want %d, %d", c.o, c.check, k, limit, c.kind, c.limit)
		}
	}
}

// Passive checks take a place away and never bring it back by themselves; a hand does.
func TestPassiveChecks(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 100)
	u.Health.Passive = entity.PassiveChecks{
		Type: "http", Healthy: entity.Successes{Statuses: []int{200}, Successes: 1},
		Unhealthy: entity.Failures{Statuses: []int{500}, HTTP: 3},
	}
	b := start(t, u, Options{})
	bad := place(t, b, "10.0.0.1:1")
	for range 2 {
		b.Report(bad, Outcome{Status: 500})
	}
	b.Report(bad, Outcome{Status: 200})
	for range 2 {
		b.Report(bad, Outcome{Status: 500})
	}
	if got := spread(t, b, 10); got["10.0.0.1:1"] != 5 {
		t.Errorf("choices %v before the limit", got)
	}
	b.Report(bad, Outcome{}) // the client's doing
	b.Report(bad, Outcome{Status: 500})
	if got := spread(t, b, 10); got["10.0.0.1:1"] != 0 {
		t.Errorf("choices %v behind the limit", got)
	}
	if s := b.Status(); s.Health != reportHealthy || s.Available != 50 || s.Targets[0].Health != reportUnhealthy || s.Targets[0].Addresses[0].State != "unhealthy" || s.Targets[1].Health != reportHealthy {
		t.Errorf("status %+v", s)
	}
	if !b.SetHealth("10.0.0.1:1", true) || b.SetHealth("10.0.0.9:1", true) {
		t.Error("a change by hand finds the wrong targets")
	}
	if got := spread(t, b, 10); got["10.0.0.1:1"] != 5 {
		t.Errorf("choices %v after a hand made it healthy", got)
	}
}

// A drained target is not checked, whatever becomes of the others.
func TestStatusOfADrainedTarget(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 0)
	u.Health.Passive.Unhealthy.TCP = 1
	s := start(t, u, Options{}).Status()
	if s.Health != reportHealthy || s.Targets[0].Health != reportHealthy || s.Targets[1].Health != reportOff || len(s.Targets[1].Addresses) != 0 {
		t.Errorf("status %+v", s)
	}
}

// The upstream is usable only while more of the weight than the threshold is available.
func TestThreshold(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 50, "10.0.0.2:1", 30, "10.0.0.3:1", 20)
	u.Health.Threshold = 50
	u.Health.Passive.Unhealthy.TCP = 1
	b := start(t, u, Options{})
	usable := func(want bool) {
		t.Helper()
		p, err := b.Choose(choice())
		if (err == nil) != want {
			t.Errorf("choice %v, usable %t wanted", err, want)
		}
		if s := b.Status(); (s.Health == reportHealthy) != want {
			t.Errorf("health %s", s.Health)
		}
		if p != nil {
			b.Release(p)
		}
	}
	usable(true)
	b.SetHealth("10.0.0.3:1", false)
	usable(true) // 80 %
	b.SetHealth("10.0.0.2:1", false)
	usable(false) // 50 % is not more than 50
	b.SetHealth("10.0.0.3:1", true)
	usable(true) // 70 %
	b.SetHealth("10.0.0.1:1", false)
	usable(false)
}

func TestNothingIsLeft(t *testing.T) {
	for name := range algorithms {
		u := upstream(name, "10.0.0.1:1", 1, "10.0.0.2:1", 1)
		u.Health.Passive.Unhealthy.TCP = 1
		b := start(t, u, Options{})
		for _, p := range b.view.Load().places {
			b.Report(p, Outcome{Failed: true})
		}
		if p, err := b.Choose(choice()); err != ErrNoPeer {
			t.Errorf("%s: chose %v, %v", name, p, err)
		}
	}
}

func TestOutliers(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 100)
	u.Outliers = entity.OutlierDetection{Consecutive5xx: 3, ConsecutiveGatewayFailure: 2, BaseEjection: time.Minute, MaxEjection: 90 * time.Second, MaxEjectionPercent: 50}
	b := start(t, u, Options{})
	one, two := place(t, b, "10.0.0.1:1"), place(t, b, "10.0.0.2:1")
	for _, status := range []int{500, 500, 200, 500, 500, 502, 200} {
		b.Report(one, Outcome{Status: status})
		if status == 502 && !one.away(time.Now()) {
			t.Error("three failures in a row, and it is not ejected")
		} else if status != 502 && status != 200 && one.away(time.Now()) {
			t.Error("ejected too early")
		}
	}
	if got := spread(t, b, 10); got["10.0.0.1:1"] != 0 {
		t.Errorf("choices %v", got)
	}
	for range 5 {
		b.Report(two, Outcome{Failed: true})
	}
	if two.away(time.Now()) {
		t.Error("more than half of the weight is ejected")
	}
	if s := b.Status(); s.Ejections != 1 || s.Targets[0].Addresses[0].EjectedFor <= 0 {
		t.Errorf("status %+v", s)
	}
	until := func() time.Duration { return time.Until(time.Unix(0, one.until.Load())) }
	if d := until(); d > time.Minute || d < 50*time.Second {
		t.Errorf("ejected for %v", d)
	}
	one.until.Store(time.Now().UnixNano()) // the time is over
	if got := spread(t, b, 10); got["10.0.0.1:1"] != 5 {
		t.Errorf("choices %v", got)
	}
	for range 2 {
		b.Report(one, Outcome{Status: 503})
	}
	if d := until(); d < 70*time.Second || d > 90*time.Second {
		t.Errorf("ejected for %v the second time, want at most max_ejection_time and more than the first time", d)
	}
}

// Requests that were under way when a place was ejected say nothing of it when it is back.
func TestFailuresOfTheEjected(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 100)
	u.Outliers = entity.OutlierDetection{Consecutive5xx: 2, BaseEjection: time.Minute, MaxEjection: time.Minute, MaxEjectionPercent: 50}
	b := start(t, u, Options{})
	p := place(t, b, "10.0.0.1:1")
	for range 5 {
		b.Report(p, Outcome{Status: 500})
	}
	p.until.Store(time.Now().UnixNano()) // the time is over
	b.Report(p, Outcome{Status: 500})
	if p.away(time.Now()) || b.Status().Ejections != 1 {
		t.Error("one failure ejects it again")
	}
}

func TestSlowStart(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 100)
	u.SlowStart = entity.SlowStart{Window: time.Hour, Aggression: 1, MinPercent: 10}
	u.Health.Passive.Unhealthy.TCP = 1
	for _, algorithm := range []string{"round-robin", "least-connections"} {
		u.Algorithm = algorithm
		b := start(t, u, Options{})
		if got := spread(t, b, 100); got["10.0.0.1:1"] != 50 {
			t.Errorf("%s: choices %v: what was there from the beginning has its whole weight", algorithm, got)
		}
		b.SetHealth("10.0.0.1:1", false)
		b.SetHealth("10.0.0.1:1", true)
		c := choice()
		count := func(after time.Duration) int {
			c.Now = time.Now().Add(after)
			var all []*Place
			n := 0
			for range 1000 {
				p := choose(t, b, c)
				if p.Host == "10.0.0.1" {
					n++
				}
				if all = append(all, p); algorithm == "round-robin" {
					b.Release(p)
				}
			}
			if algorithm != "round-robin" {
				for _, p := range all {
					b.Release(p)
				}
			}
			return n
		}
		if n := count(0); n < 45 || n > 140 { // 10 against 100
			t.Errorf("%s: %d of 1000 requests at the start", algorithm, n)
		}
		if n := count(30 * time.Minute); n < 255 || n > 410 { // 50 against 100
			t.Errorf("%s: %d of 1000 requests half way", algorithm, n)
		}
		if n := count(time.Hour); n < 480 || n > 520 {
			t.Errorf("%s: %d of 1000 requests at the end", algorithm, n)
		}
	}
}

func TestGrowth(t *testing.T) {
	s := &entity.SlowStart{Window: 100 * time.Second, Aggression: 1, MinPercent: 10}
	for age, want := range map[time.Duration]float64{-time.Second: 0.1, 0: 0.1, 5 * time.Second: 0.1, 50 * time.Second: 0.5, 100 * time.Second: 1, time.Hour: 1} {
		if got := growth(s, age); got != want {
			t.Errorf("after %v: %v, want %v", age, got, want)
		}
	}
	if s.Aggression = 2; growth(s, 25*time.Second) != 0.5 {
		t.Errorf("aggression 2 after a quarter: %v", growth(s, 25*time.Second))
	}
}
