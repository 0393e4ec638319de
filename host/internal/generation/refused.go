package generation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// RefusedError says that a plugin refuses its configuration.
type RefusedError struct {
	By     string // such as: plugin "limits" on plugin server "go"
	Faults []Fault
}

// Fault is what a plugin says about one field of its configuration.
type Fault struct {
	Path    string // dotted, such as limits.0.name; "" for the whole configuration
	Message string
}

func (e *RefusedError) Error() string {
	words := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		words[i] = f.Message
		if f.Path != "" {
			words[i] = f.Path + ": " + f.Message
		}
	}
	return e.By + " refuses the configuration: " + strings.Join(words, "; ")
}

// placed says where in the configuration file an instance could not be made: at its fields when the plugin names them, one line each. What a
// plugin says may hold the values that it was given: secrets are taken out.
func placed(r *entity.Plugin, err error) error {
	var refused *RefusedError
	if !errors.As(err, &refused) || len(refused.Faults) == 0 { // whoever refuses without a fault refuses all the same
		if len(r.Secrets) > 0 {
			err = errors.New(r.Redact(err.Error()))
		}
		return fmt.Errorf("config %s: plugin %q (%s): %w", r.Pos, r.Name, r.Scope(), err)
	}
	var lines []error
	for _, f := range refused.Faults {
		pos, path := place(r, f.Path)
		lines = append(lines, fmt.Errorf("config %s: %s: refused by %s: %s", pos, path, refused.By, r.Redact(f.Message)))
	}
	return errors.Join(lines...)
}

// place finds a field of a plugin's configuration, and writes its path as the rest of the document does: list items in brackets.
func place(r *entity.Plugin, dotted string) (entity.Pos, string) {
	var steps []string
	if dotted != "" {
		steps = strings.Split(dotted, ".")
	}
	pos := r.Pos
	if r.At != nil {
		pos = r.At(steps)
	}
	path := strings.TrimPrefix(r.Path+".config", ".")
	var v any = r.Config
	for _, step := range steps {
		switch in := v.(type) {
		case []any:
			path += "[" + step + "]"
			v = nil
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(in) {
				v = in[i]
			}
		case map[string]any:
			path += "." + step
			v = in[step]
		default:
			path += "." + step
		}
	}
	return pos, path
}
