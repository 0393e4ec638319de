package pluginserver

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
)

// maxLine is the longest piece of a line that is logged at once, in bytes.
const maxLine = 64 << 10

// eachLine calls emit for every line of r, without its end, until r ends. A line longer than maxLine comes in parts numbered from 1,
// each but the last with more set; a short line is part 0. A last line without an end counts.
func eachLine(r io.Reader, emit func(line string, part int, more bool)) {
	in := bufio.NewReaderSize(r, maxLine)
	for part := 0; ; {
		piece, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			part++
			emit(text(piece), part, true)
			continue
		case err == nil, len(piece) > 0, part > 0:
			if part > 0 {
				part++
			}
			piece = []byte(strings.TrimSuffix(strings.TrimSuffix(string(piece), "\n"), "\r"))
			emit(text(piece), part, false)
			part = 0
		}
		if err != nil {
			return
		}
	}
}

// text makes bytes fit for a log: what is not UTF-8 becomes U+FFFD. (The log's handler escapes control characters.)
func text(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

// isHandshake recognises go-plugin's line "core|protocol|network|address|kind…". Anything else that a server prints is its own.
func isHandshake(line string) bool {
	parts := strings.Split(strings.TrimSpace(line), "|")
	if len(parts) < 5 || parts[2] != "unix" && parts[2] != "tcp" {
		return false
	}
	_, core := strconv.Atoi(parts[0])
	_, version := strconv.Atoi(parts[1])
	return core == nil && version == nil
}

// shorten keeps the beginning of a line for use inside a message.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
