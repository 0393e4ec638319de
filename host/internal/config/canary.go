package config

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Canary says how a new build of a plugin server is tried on a part of the requests before it takes all of them.
type Canary struct {
	Share    float64 // of the requests, above 0 to 1
	For      time.Duration
	MinCalls int
	Errors   float64 // by how much more of its calls may fail, 0 to 1
	Latency  float64 // how many times the median of the old build; 0: not compared
}

// DefaultCanary is a canary of which nothing is said but that there is one.
func DefaultCanary() Canary {
	return Canary{Share: 0.05, For: time.Minute, MinCalls: 100, Errors: 0.01, Latency: 2}
}

func canaryField() serverField {
	return field("canary", "mapping: share (5%), for (60s), min_calls (100), errors (1%), latency (2x, off)", "",
		"a new build takes this share of the requests first, and all of them after this time if no more of its calls fail, and they take no longer, than that",
		func(r *settingReader, s *PluginServer, v *node, at *path) { s.Canary = r.canary(v, at) })
}

// canary reads a canary; nil when there is to be none, or it is wrong.
func (r *settingReader) canary(v *node, at *path) *Canary {
	if on, ok := v.boolean(); v.kind == kindNull || ok && !on || v.text == "off" {
		return nil
	} else if on {
		c := DefaultCanary()
		return &c
	}
	o := r.object(v, at, "a canary")
	if o == nil {
		return nil
	}
	c := DefaultCanary()
	if n := o.has("share"); n != nil {
		if f, ok := parseRatio(n); ok && f > 0 {
			c.Share = f
		} else {
			r.fail(at.key("share"), n, Error{Code: CodeWrongValue, Found: n.describe(), Expected: "a part of the requests such as 5%, above 0% to 100%"})
		}
	}
	if n := o.has("for"); n != nil {
		if t, ok := r.duration(n, at.key("for"), time.Second, 0); ok {
			c.For = t
		}
	}
	if n := o.has("min_calls"); n != nil {
		if i, ok := r.number(n, at.key("min_calls"), 0, 1<<30); ok {
			c.MinCalls = i
		}
	}
	if n := o.has("errors"); n != nil {
		if f, ok := parseRatio(n); ok {
			c.Errors = f
		} else {
			r.fail(at.key("errors"), n, Error{Code: CodeWrongValue, Found: n.describe(), Expected: "a part of the calls such as 1%, from 0% to 100%"})
		}
	}
	if n := o.has("latency"); n != nil {
		if f, ok := parseTimes(n); ok {
			c.Latency = f
		} else {
			r.fail(at.key("latency"), n, Error{Code: CodeWrongValue, Found: n.describe(), Expected: "how many times as long such as 2x, at least 1x, or off"})
		}
	}
	o.done()
	return &c
}

// parseRatio reads 5%, or 0.05; the result is from 0 to 1.
func parseRatio(v *node) (float64, bool) {
	text, percent := strings.CutSuffix(v.text, "%")
	f, ok := parsePlainFloat(v, text)
	if percent {
		f /= 100
	}
	return f, ok && f <= 1
}

// parseTimes reads 2x, or 2; off is 0.
func parseTimes(v *node) (float64, bool) {
	if on, ok := v.boolean(); ok && !on || v.text == "off" {
		return 0, true
	}
	text, _ := strings.CutSuffix(v.text, "x")
	f, ok := parsePlainFloat(v, text)
	return f, ok && f >= 1
}

// parsePlainFloat reads a number that is neither negative nor infinite.
func parsePlainFloat(v *node, text string) (float64, bool) {
	if v.kind == kindList || v.kind == kindMapping || v.kind == kindNull {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && f >= 0 && !math.IsInf(f, 0)
}

// Replacement is what somebody asks for who asks for a new build of a plugin server.
type Replacement struct {
	Command []string // nil: that of the current build
	Canary  *Canary  // nil: none, unless Settled
	// Settled: nothing was said of a canary; the settings of the server decide.
	Settled bool
}

// ParseReplacement reads {"command": [...], "canary": {...}}; both may be missing, and so may everything. A canary that is null or "off" is none,
// whatever the settings say.
func ParseReplacement(data []byte) (Replacement, error) {
	out := Replacement{Settled: true}
	if strings.TrimSpace(string(data)) == "" {
		return out, nil
	}
	root, e := parseJSON(data)
	if e == nil && !json.Valid(data) {
		e = &Error{Code: CodeSyntax, Found: "something behind the object", Expected: "JSON"}
	}
	if e != nil {
		e.File = "body"
		return out, Errors{e}
	}
	r := &settingReader{reader: reader{file: "body"}, s: &Settings{}}
	if o := r.object(root, nil, "a replacement"); o != nil {
		if v := o.has("command"); v != nil {
			var s PluginServer
			readCommand(func(s *PluginServer) *[]string { return &s.Command })(r, &s, v, (*path)(nil).key("command"))
			out.Command = s.Command
		}
		if v := root.get("canary"); v != nil {
			o.has("canary")
			out.Canary, out.Settled = r.canary(v, (*path)(nil).key("canary")), false
		}
		o.done()
	}
	if len(r.errs) > 0 {
		return out, r.errs
	}
	return out, nil
}

// String is the canary in one line.
func (c *Canary) String() string {
	latency := "off"
	if c.Latency > 0 {
		latency = fmt.Sprintf("%gx", c.Latency)
	}
	return fmt.Sprintf("share %.4g%%, for %v, min_calls %d, errors %.4g%%, latency %s", c.Share*100, c.For, c.MinCalls, c.Errors*100, latency)
}
