package pdk

import (
	"errors"
	"fmt"
	"testing"
)

func TestConfigErrors(t *testing.T) {
	high := &ConfigError{"range.high", "found 1, expected at least 5"}
	whole := errors.New("no such place")
	for _, c := range []struct {
		err  error
		want []ConfigError
	}{
		{high, []ConfigError{*high}},
		{fmt.Errorf("limits: %w", high), []ConfigError{*high}},
		{whole, []ConfigError{{"", "no such place"}}},
		{manyErrors{}, []ConfigError{{"", "many"}}}, // an empty list would be a configuration that is accepted
		{manyErrors{nil, high}, []ConfigError{*high}},
		{errors.Join(high, errors.Join(whole, &ConfigError{"a.0", "b"})), []ConfigError{*high, {"", "no such place"}, {"a.0", "b"}}},
	} {
		got := ConfigErrors(c.err)
		if len(got) != len(c.want) {
			t.Fatalf("%v: found %d fields, want %d", c.err, len(got), len(c.want))
		}
		for i := range got {
			if *got[i] != c.want[i] {
				t.Errorf("%v: found %v, want %v", c.err, got[i], c.want[i])
			}
		}
	}
	if high.Error() != "range.high: found 1, expected at least 5" || (&ConfigError{Message: "no"}).Error() != "no" {
		t.Errorf("found %q", high)
	}
}

// manyErrors are errors of a plugin's own that may be none.
type manyErrors []error

func (manyErrors) Error() string     { return "many" }
func (m manyErrors) Unwrap() []error { return m }
