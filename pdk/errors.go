package pdk

import "errors"

// Error kinds. Match them with errors.Is; Code gives the stable name.
var (
	ErrArg   = &Error{Code: "bad_argument"} // an argument is out of range or not legal
	ErrPhase = &Error{Code: "wrong_phase"}  // not allowed in this phase, after the handler ended, or after an exit
	ErrData  = &Error{Code: "bad_data"}     // the data of the request cannot answer
	ErrHost  = &Error{Code: "host_error"}   // the host could not answer
)

// Error is what a PDK function returns when it fails.
type Error struct {
	Code     string // bad_argument, wrong_phase, bad_data, host_error
	Function string // canonical name, such as service.request.set_header
	Message  string
}

func (e *Error) Error() string {
	s := e.Code
	if e.Function != "" {
		s += ": " + e.Function
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Is matches by code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code && t.Message == "" && t.Function == ""
}

// ConfigError refuses a configuration because of one of its fields. A Configure method returns it; errors.Join refuses several fields at once.
type ConfigError struct {
	Path    string // dotted, such as limits.0.name; "" for the whole configuration
	Message string // found and expected
}

func (e *ConfigError) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

// ConfigErrors lists what an error of a Configure method says about each field: at least one thing, as the error refuses the configuration. An
// error that names no field is one of the whole configuration.
func ConfigErrors(err error) []*ConfigError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*ConfigError
		for _, one := range joined.Unwrap() {
			if one != nil {
				all = append(all, ConfigErrors(one)...)
			}
		}
		if len(all) > 0 {
			return all
		}
	}
	if field, ok := errors.AsType[*ConfigError](err); ok {
		return []*ConfigError{field}
	}
	return []*ConfigError{{Message: err.Error()}}
}
