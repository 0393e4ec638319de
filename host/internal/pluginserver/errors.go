package pluginserver

import (
	"fmt"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
)

// FieldError is one reason why a plugin refused a configuration.
type FieldError struct {
	Path    string // dotted; empty for the whole configuration
	Message string
}

// ConfigError says that the plugin refused the configuration of an instance.
type ConfigError struct {
	Server string
	Plugin string
	Fields []FieldError // never empty
}

func (e *ConfigError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plugin %q on plugin server %q refuses the configuration", e.Plugin, e.Server)
	for i, f := range e.Fields {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		if f.Path != "" {
			b.WriteString(f.Path + ": ")
		}
		b.WriteString(f.Message)
	}
	return b.String()
}

// UnreachableError says that no process of the server could be asked. The instance is remembered: every process gets it before it
// takes calls again.
type UnreachableError struct {
	Server string
	Reason string
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("plugin server %q cannot be reached: %s", e.Server, e.Reason)
}

// NotReadyError is the answer to a call while no process of the server takes calls.
type NotReadyError struct {
	Server string
	State  string // starting, down, crash_loop, stopping
	Reason string
}

func (e *NotReadyError) Error() string {
	s := fmt.Sprintf("plugin server %q is not ready: %s", e.Server, e.State)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// Is makes it a transport.ErrNotReady.
func (e *NotReadyError) Is(target error) bool { return target == transport.ErrNotReady }

// DuplicatePluginError says that two servers host plugins of one name.
type DuplicatePluginError struct {
	Plugin  string
	Servers [2]string // in alphabetical order
}

func (e *DuplicatePluginError) Error() string {
	return fmt.Sprintf("plugin %q is hosted by two plugin servers, %q and %q: plugin names must be unique", e.Plugin, e.Servers[0], e.Servers[1])
}

// StartError lists the servers that were not ready when Start returned. They are still being retried.
type StartError struct {
	Failed []State
}

// Unwrap gives the reasons.
func (e *StartError) Unwrap() []error {
	errs := make([]error, len(e.Failed))
	for i, s := range e.Failed {
		errs[i] = s.Err
	}
	return errs
}

func (e *StartError) Error() string {
	lines := make([]string, len(e.Failed))
	for i, s := range e.Failed {
		lines[i] = fmt.Sprintf("plugin server %q is not ready: %s", s.Server, s.Reason)
	}
	return strings.Join(lines, "\n")
}
