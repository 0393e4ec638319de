package blackbox

import "strings"

// maxName is the longest name that is looked at in a text.
const maxName = 64

// pairs is a text without the values that stand behind secret names, as in "password": "x", token=x, 'api_key': 'x', Authorization: Bearer x.
// It knows no grammar: the text may be JSON, a form, a message or a stack trace. So a single word behind a colon stays, as in "invalid token:
// expected three parts"; and so does what stands behind " = ", which is code.
func (r *redactor) pairs(s string) string {
	var b strings.Builder
	done := 0 // of s is in b
	for i := 0; ; i++ {
		next := strings.IndexAny(s[i:], ":=")
		if next < 0 {
			break
		}
		i += next
		name, quoted := nameBefore(s[done:i])
		if name == "" || !r.secretInText(name) {
			continue
		}
		from, to := valueBehind(s, i)
		value := s[from:to]
		if value == "" || strings.HasPrefix(value, "<redacted") {
			continue
		}
		b.WriteString(s[done:from])
		if quoted && !isQuote(s[from-1]) { // JSON stays JSON
			b.WriteString(`"` + mark(len(value)) + `"`)
		} else {
			b.WriteString(mark(len(value)))
		}
		done, i = to, to-1
	}
	if done == 0 {
		return s
	}
	return b.String() + s[done:]
}

// secretInText is secret for names in texts and bodies, of which many are the same.
func (r *redactor) secretInText(name string) bool {
	secret, known := r.known[name]
	if !known {
		if secret = r.secret(name); len(r.known) < 1024 {
			r.known[strings.Clone(name)] = secret
		}
	}
	return secret
}

func inName(c byte) bool {
	return c == '-' || c == '_' || c == '.' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// nameBefore is the name at the end of a text, which may be in quotes: so are the keys of JSON.
func nameBefore(s string) (name string, quoted bool) {
	s = s[max(0, len(s)-maxName):]
	s = strings.TrimSuffix(strings.TrimRight(s, " \t"), "]") // of user[password]=
	if n := len(s); n >= 3 && strings.EqualFold(s[n-3:], "%5D") {
		s = s[:n-3]
	}
	if unquoted := strings.TrimRight(s, `"'`); len(unquoted) < len(s) {
		s, quoted = strings.TrimRight(unquoted, `\`), true
	}
	start := len(s)
	for start > 0 && inName(s[start-1]) {
		start--
	}
	if start == 0 && len(s) == maxName {
		return "", false // it may go on
	}
	if start > 0 && s[start-1] == '%' { // of user%5Bpassword
		start = min(start+2, len(s))
	}
	return s[start:], quoted
}

// valueBehind is where the value behind the sign at i stands, without its quotes; nothing when it is no value.
func valueBehind(s string, i int) (from, to int) {
	from = i + 1
	switch {
	case from < len(s) && (s[from] == '=' || s[from] == ':'): // ==, := and ::
		return from, from
	case s[i] == ':':
		from += len(s[from:]) - len(strings.TrimLeft(s[from:], " \t"))
	case i > 0 && s[i-1] == ' ' || from < len(s) && s[from] == ' ':
		return from, from
	}
	if begin, end, ok := inQuotes(s[from:]); ok {
		return from + begin, from + end
	}
	schemed := false
	for _, scheme := range []string{"bearer ", "basic ", "token "} {
		if len(s)-from > len(scheme) && strings.EqualFold(s[from:from+len(scheme)], scheme) {
			from, schemed = from+len(scheme), true
		}
	}
	to = from
	for to < len(s) && s[to] > ' ' && strings.IndexByte(`"'&,;(){}[]`, s[to]) < 0 {
		to++
	}
	if s[i] == ':' && !schemed && word(s[from:to]) {
		return from, from
	}
	return from, to
}

// inQuotes is where the text stands with whose quotes s begins. They may be escaped, as in JSON within JSON.
func inQuotes(s string) (begin, end int, ok bool) {
	switch {
	case len(s) > 0 && isQuote(s[0]):
		for end = 1; end < len(s) && s[end] != s[0]; end++ {
			if s[end] == '\\' {
				end++
			}
		}
		return 1, min(end, len(s)), true
	case len(s) > 1 && s[0] == '\\' && isQuote(s[1]):
		end = len(s)
		if length := strings.Index(s[2:], s[:2]); length >= 0 {
			end = 2 + length
		}
		return 2, end, true
	}
	return 0, 0, false
}

func isQuote(c byte) bool { return c == '"' || c == '\'' }

// word reports whether a value is a single word such as true, null or "expected".
func word(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}
