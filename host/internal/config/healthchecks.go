package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

var checkTypes = []string{"tcp", "http", "https", "grpc", "grpcs"}

// longestTime bounds the times of an upstream, as in Kong.
const longestTime = 65535 * time.Second

// healthChecks reads healthchecks of an upstream (spec/gateway.md 7.4).
func (d *document) healthChecks(o *object) entity.HealthChecks {
	h := d.section(o, "healthchecks")
	active, passive := d.section(h, "active"), d.section(h, "passive")
	checks := entity.HealthChecks{Threshold: h.number("threshold", 0, 0, 100), Active: d.activeChecks(active), Passive: d.passiveChecks(passive)}
	active.done()
	passive.done()
	h.done()
	return checks
}

// section reads a mapping inside an object. An absent one has none of its keys.
func (d *document) section(o *object, key string) *object {
	at := o.at.key(key)
	if v := o.has(key); v != nil && (v.kind != kindList || len(v.items) > 0) {
		if inner := d.object(v, at, key); inner != nil {
			return inner
		}
	}
	return &object{reader: o.reader, what: key, at: at, n: &node{kind: kindMapping}}
}

func (d *document) activeChecks(o *object) entity.ActiveChecks {
	c := entity.ActiveChecks{
		Type: o.choice("type", "http", checkTypes...), Timeout: o.span("timeout", time.Second, 0, longestTime),
		Concurrency: o.integer("concurrency", 10, 1, 1<<16), Path: orDefault(o.text("http_path", checkPath), "/"),
		SNI: o.text("https_sni", sni), Verify: o.boolean("https_verify_certificate", true), Headers: d.checkHeaders(o),
	}
	healthy, unhealthy := d.section(o, "healthy"), d.section(o, "unhealthy")
	c.Healthy = healthy.successes([]int{200, 302})
	c.Healthy.Interval = healthy.span("interval", 0, 0, longestTime)
	c.Unhealthy = unhealthy.failures([]int{404, 429, 500, 501, 502, 503, 504, 505})
	c.Unhealthy.Interval = unhealthy.span("interval", 0, 0, longestTime)
	healthy.done()
	unhealthy.done()
	return c
}

func (d *document) passiveChecks(o *object) entity.PassiveChecks {
	c := entity.PassiveChecks{Type: o.choice("type", "http", checkTypes...)}
	healthy, unhealthy := d.section(o, "healthy"), d.section(o, "unhealthy")
	c.Healthy = healthy.successes([]int{200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308})
	c.Unhealthy = unhealthy.failures([]int{429, 500, 503})
	healthy.done()
	unhealthy.done()
	return c
}

func (o *object) successes(statuses []int) entity.Successes {
	return entity.Successes{Statuses: o.statuses("http_statuses", statuses, 100, 999), Successes: o.integer("successes", 0, 0, 255)}
}

func (o *object) failures(statuses []int) entity.Failures {
	return entity.Failures{
		Statuses: o.statuses("http_statuses", statuses, 100, 999), TCP: o.integer("tcp_failures", 0, 0, 255),
		Timeouts: o.integer("timeouts", 0, 0, 255), HTTP: o.integer("http_failures", 0, 0, 255),
	}
}

// statuses reads a set of HTTP statuses between two, in ascending order.
func (o *object) statuses(key string, absent []int, least, most int64) []int {
	bounds := fmt.Sprintf("from %d to %d", least, most)
	v := o.has(key)
	if v == nil {
		return absent
	}
	at := o.at.key(key)
	if v.kind != kindList {
		o.wrongType(at, v, "a list of statuses "+bounds)
		return absent
	}
	list := []int{}
	for i, item := range v.items {
		n, ok := item.integer()
		if !ok || n < least || n > most {
			o.fail(at.item(i), item, Error{Code: CodeWrongValue, Found: item.describe(), Expected: "a status " + bounds})
			continue
		}
		list = append(list, int(n))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// checkHeaders reads the headers of active checks: names with lists of values.
func (d *document) checkHeaders(o *object) []entity.HeaderValues {
	v := o.has("headers")
	if v == nil || v.kind == kindList && len(v.items) == 0 {
		return nil
	}
	at := o.at.key("headers")
	if v.kind != kindMapping {
		d.wrongType(at, v, "a mapping of header names to lists of values")
		return nil
	}
	var list []entity.HeaderValues
	for i := range v.pairs {
		p := &v.pairs[i]
		if !headerName(p.key) {
			d.fail(at.key(p.key), p.at, Error{Code: CodeWrongValue, Found: quote(p.key), Expected: "a header name of letters, digits, '-' and '_'"})
			continue
		}
		list = append(list, entity.HeaderValues{Name: p.key, Values: d.textsOf(p.value, at.key(p.key), false, headerValue)})
	}
	return list
}

// headerValue is the rule of a value that is sent.
func headerValue(s string) *problem {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return &problem{expected: "a header value of one line, without control characters"}
	}
	return nil
}

// checkPath is the rule of the path of active checks; it may have a query.
func checkPath(s string) *problem {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return &problem{expected: "a path of printable ASCII characters without spaces", fix: "percent-encode the others"}
		}
	}
	if s[0] != '/' {
		return &problem{expected: `a path that starts with "/"`, fix: "write " + quote("/"+s)}
	}
	return nil
}

// number reads a number, whole or not.
func (o *object) number(key string, absent, low, high float64) float64 {
	v := o.has(key)
	if v == nil {
		return absent
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if v.kind != kindInt && v.kind != kindFloat || err != nil || !(f >= low && f <= high) {
		code := CodeWrongValue
		if v.kind != kindInt && v.kind != kindFloat {
			code = CodeWrongType
		}
		o.fail(o.at.key(key), v, Error{
			Code: code, Found: v.describe(), Expected: "a number from " + strconv.FormatFloat(low, 'g', -1, 64) + " to " + strconv.FormatFloat(high, 'g', -1, 64),
		})
		return absent
	}
	return f
}

// span reads a duration; a bare number is seconds, as in Kong.
func (o *object) span(key string, absent, low, high time.Duration) time.Duration {
	v := o.has(key)
	if v == nil {
		return absent
	}
	t, p := parseDuration(v, time.Second)
	if f, err := strconv.ParseFloat(v.text, 64); v.kind == kindFloat && err == nil && f >= 0 && f <= high.Seconds() {
		t, p = time.Duration(f*float64(time.Second)), nil
	}
	if p == nil && (t < low || t > high) {
		p = &problem{expected: "a time from " + low.String() + " to " + strconv.Itoa(int(high.Seconds())) + "s, or a number of seconds"}
	}
	if p != nil {
		o.problem(o.at.key(key), v, p)
		return absent
	}
	return t
}
