package config

import (
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Each function here makes rows of the table of settings whose values have one type.

func row(name, kind, absent, doc string, read func(r *settingReader, v *node, at *path)) setting {
	return setting{
		Setting: Setting{
			Name: name, Env: envPrefix + strings.ToUpper(name), Flag: strings.ReplaceAll(name, "_", "-"), Type: kind, Default: absent, Doc: doc,
		},
		read: read,
	}
}

// scalar is the text of a plain value, whatever its type.
func (r *settingReader) scalar(v *node, at *path, expected string) (string, bool) {
	if v.kind == kindList || v.kind == kindMapping || v.kind == kindNull {
		r.wrongType(at, v, expected)
		return "", false
	}
	return v.text, true
}

// textSetting is a string that follows the rules.
func textSetting(name, absent, doc string, field func(*Settings) *string, rules ...rule) setting {
	return row(name, "string", absent, doc, func(r *settingReader, v *node, at *path) {
		s, ok := r.scalar(v, at, "a string")
		if !ok {
			return
		}
		for _, check := range rules {
			if p := check(s); p != nil {
				r.problem(at, v, p)
				return
			}
		}
		*field(r.s) = s
	})
}

// wordSetting is one of a few words.
func wordSetting(name, absent, doc string, words []string, field func(*Settings) *string) setting {
	s := textSetting(name, absent, doc, field, oneOf(words...))
	s.Type = "one of " + strings.Join(words, ", ")
	return s
}

// pathSetting is the path of a file or directory.
func pathSetting(name, doc string, field func(*Settings) *string) setting {
	return row(name, "path", "", doc, func(r *settingReader, v *node, at *path) {
		if s, ok := r.scalar(v, at, "a path"); ok {
			*field(r.s) = r.path(s)
		}
	})
}

func (r *settingReader) path(s string) string {
	if s == "" || r.dir == "" || filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(r.dir, s)
}

// switchSetting is on or off; true and false too.
func switchSetting(name, absent, doc string, field func(*Settings) *bool) setting {
	return row(name, "on or off", absent, doc, func(r *settingReader, v *node, at *path) {
		plain := &node{kind: v.kind, text: v.text}
		if b, ok := plain.boolean(); ok {
			*field(r.s) = b
			return
		}
		r.fail(at, v, Error{Code: CodeWrongValue, Found: v.describe(), Expected: "on or off"})
	})
}

// countSetting is a whole number.
func countSetting(name, absent, doc string, low, high int, field func(*Settings) *int) setting {
	return row(name, "whole number", absent, doc, func(r *settingReader, v *node, at *path) {
		if n, ok := r.number(v, at, low, high); ok {
			*field(r.s) = n
		}
	})
}

func (r *settingReader) number(v *node, at *path, low, high int) (int, bool) {
	n, err := strconv.ParseInt(v.text, 10, 64)
	if v.kind == kindList || v.kind == kindMapping || err != nil || n < int64(low) || n > int64(high) {
		r.fail(at, v, Error{
			Code: CodeWrongValue, Found: v.describe(), Expected: "a whole number from " + strconv.Itoa(low) + " to " + strconv.Itoa(high),
		})
		return 0, false
	}
	return int(n), true
}

// timeSetting is a duration; a bare number is seconds, as in Kong and nginx.
func timeSetting(name, absent, doc string, low time.Duration, field func(*Settings) *time.Duration) setting {
	return row(name, "time, a bare number is seconds", absent, doc, func(r *settingReader, v *node, at *path) {
		if t, ok := r.duration(v, at, time.Second, low); ok {
			*field(r.s) = t
		}
	})
}

func (r *settingReader) duration(v *node, at *path, unit, low time.Duration) (time.Duration, bool) {
	t, p := parseDuration(v, unit)
	if p == nil && t < low {
		p = &problem{expected: "a time of at least " + low.String()}
	}
	if p != nil {
		r.problem(at, v, p)
		return 0, false
	}
	return t, true
}

// sizeSetting is a number of bytes, with the suffixes of nginx.
func sizeSetting(name, absent, doc string, low, high int64, set func(*Settings, int64)) setting {
	return row(name, "size, such as 8m or 64k", absent, doc, func(r *settingReader, v *node, at *path) {
		if n, ok := r.size(v, at, low, high); ok {
			set(r.s, n)
		}
	})
}

func (r *settingReader) size(v *node, at *path, low, high int64) (int64, bool) {
	n, ok := parseSize(v)
	switch {
	case !ok:
		r.fail(at, v, Error{Code: CodeWrongValue, Found: v.describe(), Expected: "a number of bytes, or a size such as 64k, 8m or 1g"})
	case n < low:
		r.fail(at, v, Error{Code: CodeWrongValue, Found: v.describe(), Expected: "at least " + strconv.FormatInt(low, 10) + " bytes"})
	case n > high:
		r.fail(at, v, Error{Code: CodeWrongValue, Found: v.describe(), Expected: "at most " + strconv.FormatInt(high, 10) + " bytes"})
	default:
		return n, true
	}
	return 0, false
}

func parseSize(v *node) (int64, bool) {
	if v.kind != kindInt && v.kind != kindText {
		return 0, false
	}
	s := strings.TrimSuffix(strings.ToLower(v.text), "b")
	factor := int64(1)
	for i, letter := range []string{"k", "m", "g"} {
		if number, ok := strings.CutSuffix(strings.TrimSuffix(s, "i"), letter); ok {
			factor, s = 1<<(10*(i+1)), number
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || !isDigits(strings.TrimSpace(s)) || n > math.MaxInt64/factor {
		return 0, false
	}
	return n * factor, true
}

// listSetting is a list of strings: a YAML list, or one string with commas.
func listSetting(name, absent, doc string, read func(r *settingReader, v *node, items []*node, at *path)) setting {
	return row(name, "list", absent, doc, func(r *settingReader, v *node, at *path) {
		if items, ok := r.items(v, at); ok {
			read(r, v, items, at)
		}
	})
}

// items splits a list; places are those of the items where the document has them.
func (r *settingReader) items(v *node, at *path) ([]*node, bool) {
	if v.kind == kindList {
		for i, item := range v.items {
			if _, ok := r.scalar(item, at.item(i), "a string"); !ok {
				return nil, false
			}
		}
		return v.items, true
	}
	s, ok := r.scalar(v, at, "a list, or a string with commas")
	if !ok {
		return nil, false
	}
	var items []*node
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			items = append(items, &node{kind: kindText, text: part, line: v.line, col: v.col})
		}
	}
	return items, true
}

// itemAt is the place of an item; variables and flags have no places inside.
func itemAt(at *path, i int) *path {
	if at == nil {
		return nil
	}
	return at.item(i)
}

// withoutOptions ends what is expected where an address has words behind it that nobody knows.
const withoutOptions = " without options"

// listenAddress is the rule of host:port.
func listenAddress(s string) *problem {
	const expected = "an address such as 127.0.0.1:8000"
	if isDigits(s) {
		return &problem{expected: expected, fix: "write 127.0.0.1:" + s}
	}
	if first, rest, ok := strings.Cut(s, " "); ok {
		p := &problem{expected: expected + withoutOptions, fix: "write " + first}
		if strings.Contains(" "+rest+" ", " ssl ") || strings.Contains(" "+rest+" ", " http2 ") {
			p.expected, p.code, p.fix = expected+": TLS and HTTP/2 listeners are not supported yet", CodeUnsupported, ""
		}
		return p
	}
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil:
		return &problem{expected: expected}
	case host == "":
		return &problem{expected: expected, fix: "write 0.0.0.0:" + port + " to listen on every address"}
	case !validPort(port):
		return &problem{expected: "a port from 0 to 65535"}
	case !isAddress(host) && !hostname(host):
		return &problem{expected: expected}
	}
	return nil
}

// readTrusted reads addresses and networks; unix: is accepted, as in Kong, and means nothing here.
func readTrusted(r *settingReader, _ *node, items []*node, at *path) {
	list := []netip.Prefix{}
	for i, item := range items {
		if item.text == "unix:" {
			continue
		}
		if a, err := netip.ParseAddr(item.text); err == nil && a.Zone() == "" {
			list = append(list, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(item.text)
		if err != nil {
			r.problem(itemAt(at, i), item, &problem{expected: "an IP address, or a network such as 10.0.0.0/8"})
			continue
		}
		list = append(list, p.Masked())
	}
	r.s.TrustedIPs = list
}
