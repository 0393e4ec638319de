package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendString appends text as a JSON string. Control characters are escaped, and so is what turns the direction of writing, so that a line stays one line
// and shows what it says, and a terminal obeys nobody; bytes that are not UTF-8 become U+FFFD.
func AppendString(b []byte, text string) []byte {
	const hexDigits = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		var r rune
		if c >= utf8.RuneSelf {
			if r, size = utf8.DecodeRuneInString(text[i:]); r >= 0xa0 && !steers(r) && (r != utf8.RuneError || size > 1) {
				i += size
				continue
			}
		} else {
			r = rune(c)
		}
		b = append(b, text[from:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case r == utf8.RuneError:
			b = append(b, `\ufffd`...)
		default:
			b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		}
		i += size
		from = i
	}
	b = append(b, text[from:]...)
	return append(b, '"')
}

// steers reports whether a character ends a line or turns the direction of writing, where somebody shows it.
func steers(r rune) bool {
	return r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x061c
}

// AppendTime appends a time as a JSON string: RFC 3339 with microseconds, UTC.
func AppendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	return append(b, '"')
}

// AppendMilliseconds appends a time in milliseconds with three decimals; a negative one is 0.
func AppendMilliseconds(b []byte, d time.Duration) []byte {
	us := max(d.Microseconds(), 0)
	b = strconv.AppendInt(b, us/1000, 10)
	us %= 1000
	return append(b, '.', byte('0'+us/100), byte('0'+us/10%10), byte('0'+us%10))
}
