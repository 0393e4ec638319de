package local

import (
	"errors"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// TelemetryLog implements pdk.Backend.
func (h *handle) TelemetryLog(pluginName string, config map[string]any, messageType, message string, attributes map[string]any) error {
	const fn = pdk.FnTelemetryLog
	if config == nil {
		config = map[string]any{}
	}
	args := []any{pluginName, config, messageType, message, nil}
	if attributes != nil {
		args[4] = attributes
	}
	raw, encodeErr := encodeValue(args)
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	switch {
	case encodeErr != nil:
		return argError(fn, encodeErr)
	case pluginName == "" || messageType == "":
		return argError(fn, errNoName)
	case !s.node.TelemetryLogs:
		return dataError(fn, errors.New("the setting telemetry_logs is off"))
	}
	s.op(fn).Value = raw
	return nil
}

var errNoName = errors.New("plugin_name or message_type is empty")

// Telemetry is a record of telemetry.log.
type Telemetry struct {
	Plugin     string
	Config     map[string]any
	Type       string
	Message    string
	Attributes map[string]any // nil: none
}

// TelemetryOf reads the operation telemetry.log.
func TelemetryOf(op *wire.Op) (t Telemetry, err error) {
	a := argumentsOf(op, 5)
	t = Telemetry{Plugin: a.text(0), Config: a.mapping(1), Type: a.text(2), Message: a.text(3)}
	if len(a.list) > 4 && a.list[4] != nil {
		t.Attributes = a.mapping(4)
	}
	if a.err == nil && (t.Plugin == "" || t.Type == "") {
		a.err = errNoName
	}
	return t, a.err
}
