package plan

import "strconv"

// AppendShort appends the step in a few bytes for a debug header: the plugin, the instance name of a stacked record, and the level of the record.
func (s *Step) AppendShort(b []byte) []byte {
	b = appendToken(b, s.name.plugin)
	if s.name.instance != "" {
		b = append(b, ";instance="...)
		b = appendToken(b, s.name.instance)
	}
	return strconv.AppendInt(append(b, ";level="...), int64(s.level), 10)
}

// appendToken appends a name; bytes that a token of RFC 8941 cannot hold become '_'.
func appendToken(b []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '_')
		}
	}
	return b
}
