package local

import (
	"fmt"
	"math"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// arguments reads the arguments of a generic operation, whose Value is one array. The first mistake stays in err.
type arguments struct {
	list []any
	err  error
}

// argumentsOf reads an operation that takes n arguments.
func argumentsOf(op *wire.Op, n int) *arguments {
	a := &arguments{}
	v, err := wire.DecodeValue(op.Value)
	list, ok := v.([]any)
	switch {
	case err != nil:
		a.err = err
	case !ok:
		a.err = fmt.Errorf("found %T, expected an array of arguments", v)
	case len(list) != n:
		a.err = fmt.Errorf("found %d arguments, expected %d", len(list), n)
	default:
		a.list = list
	}
	return a
}

func (a *arguments) fail(i int, expected string) {
	if a.err == nil {
		a.err = fmt.Errorf("argument %d is a %T; expected %s", i+1, a.list[i], expected)
	}
}

// check adds a mistake that a check found.
func (a *arguments) check(err error) {
	if a.err == nil {
		a.err = err
	}
}

// at is an argument; nil after a mistake.
func (a *arguments) at(i int) any {
	if a.err != nil {
		return nil
	}
	return a.list[i]
}

func (a *arguments) text(i int) string {
	switch v := a.at(i).(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	a.fail(i, "text")
	return ""
}

func (a *arguments) integer(i int) int {
	switch v := a.at(i).(type) {
	case int64:
		return int(v)
	case float64: // a language without integers
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int(v)
		}
	}
	a.fail(i, "an integer")
	return 0
}

func (a *arguments) float(i int) float64 {
	switch v := a.at(i).(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	}
	a.fail(i, "a number")
	return 0
}

func (a *arguments) bool(i int) bool {
	v, ok := a.at(i).(bool)
	if !ok {
		a.fail(i, "true or false")
	}
	return v
}

func (a *arguments) mapping(i int) map[string]any {
	v, ok := a.at(i).(map[string]any)
	if !ok {
		a.fail(i, "a map")
	}
	return v
}

func (a *arguments) array(i int) []any {
	v, ok := a.at(i).([]any)
	if !ok {
		a.fail(i, "a list")
	}
	return v
}

// encodeArguments writes the arguments of a generic operation. They are of types that package wire knows.
func encodeArguments(args ...any) []byte {
	raw, err := wire.AppendValue(nil, args)
	if err != nil {
		panic(fmt.Sprintf("arguments %v: %v", args, err)) // a mistake in this package: nothing that a plugin gives comes here unchecked
	}
	return raw
}
