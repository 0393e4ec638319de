package fields

import (
	"fmt"
	"regexp"
	"strings"
)

// CutRule splits name:value as Kong's transformers do: at the first colon, with the colons that follow it.
func CutRule(text string) (name, value string) {
	name, value, _ = strings.Cut(text, ":")
	return name, strings.TrimLeft(value, ":")
}

// headerName is what configured header names may look like.
var headerName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// CheckHeaderName refuses a configured header name that is not of letters, digits, - and _.
func CheckHeaderName(name string) error {
	if !headerName.MatchString(name) {
		return fmt.Errorf("%q is no header name: expected letters, digits, - and _", name)
	}
	return nil
}
