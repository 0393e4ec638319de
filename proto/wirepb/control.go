package wirepb

import (
	"math"

	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// HostHello makes the host's first message.
func HostHello(h *wire.HostHello) *pluginv1.HostHello {
	m := &pluginv1.HostHello{
		Version: uint32(h.Version), NodeId: text(h.NodeID), Hostname: text(h.Hostname), GatewayVersion: text(h.GatewayVersion),
		LogLevel: uint32(h.LogLevel), MaxBody: h.MaxBody, MaxShared: h.MaxShared, ClusterId: text(h.ClusterID), TelemetryLogs: h.TelemetryLogs,
		Features: h.Features,
	}
	for _, c := range h.TrustedCIDRs {
		m.TrustedCidrs = append(m.TrustedCidrs, text(c))
	}
	return m
}

// HostHelloOf reads the host's first message.
func HostHelloOf(m *pluginv1.HostHello) wire.HostHello {
	return wire.HostHello{
		Version: uint16(min(m.GetVersion(), math.MaxUint16)), NodeID: m.GetNodeId(), Hostname: m.GetHostname(), GatewayVersion: m.GetGatewayVersion(),
		TrustedCIDRs: m.GetTrustedCidrs(), LogLevel: uint8(min(m.GetLogLevel(), math.MaxUint8)), MaxBody: m.GetMaxBody(), MaxShared: m.GetMaxShared(),
		ClusterID: m.GetClusterId(), TelemetryLogs: m.GetTelemetryLogs(),
		Features: m.GetFeatures(),
	}
}

// ServerHello makes the server's first message.
func ServerHello(h *wire.ServerHello) *pluginv1.ServerHello {
	return &pluginv1.ServerHello{Version: uint32(h.Version), SdkLanguage: text(h.SDKLanguage), SdkVersion: text(h.SDKVersion), Pid: h.PID, Features: h.Features}
}

// ServerHelloOf reads the server's first message.
func ServerHelloOf(m *pluginv1.ServerHello) wire.ServerHello {
	return wire.ServerHello{Version: uint16(min(m.GetVersion(), math.MaxUint16)), SDKLanguage: m.GetSdkLanguage(), SDKVersion: m.GetSdkVersion(), PID: m.GetPid(), Features: m.GetFeatures()}
}

// Ask makes the message of an ask.
func Ask(a *wire.Ask) *pluginv1.Ask {
	m := &pluginv1.Ask{Function: uint32(a.Fn)}
	for _, arg := range a.Args {
		if len(arg) == 0 {
			arg = []byte{0xc0}
		}
		m.Args = append(m.Args, arg)
	}
	return m
}

// AskOf reads an ask; a nil argument is nil.
func AskOf(m *pluginv1.Ask) (wire.Ask, error) {
	if m.GetFunction() > math.MaxUint16 {
		return wire.Ask{}, bad("ask", "function %d", m.GetFunction())
	}
	if n := len(m.GetArgs()); n > wire.MaxItems {
		return wire.Ask{}, bad("ask", "%d arguments, at most %d are allowed", n, wire.MaxItems)
	}
	a := wire.Ask{Fn: wire.AskFn(m.GetFunction())}
	for _, arg := range m.GetArgs() {
		v, err := value("argument", arg)
		if err != nil {
			return wire.Ask{}, err
		}
		a.Args = append(a.Args, v)
	}
	return a, nil
}

// Answer makes the message of an answer. Bytes over wire.ChunkSize are named only by their length: the sender sends them as chunks
// first.
func Answer(a *wire.Answer) *pluginv1.Answer {
	if a.Err != nil {
		return &pluginv1.Answer{Error: failure(a.Err)}
	}
	return &pluginv1.Answer{Bytes: blob(a.Bytes, a.IsBytes), Value: raw(a.Value)}
}

// AnswerOf reads an answer.
func AnswerOf(m *pluginv1.Answer, bulk []byte) (wire.Answer, error) {
	r := bodies{bulk: bulk}
	a := wire.Answer{Err: failureOf(m.GetError())}
	a.Bytes, a.IsBytes = r.take(m.GetBytes())
	var err error
	if a.Value, err = value("answer", m.GetValue()); err != nil {
		return wire.Answer{}, err
	}
	return a, r.done("answer")
}

// Entity makes the message that puts an entity into a slot.
func Entity(slot uint16, e *wire.Entity) *pluginv1.Entity {
	return &pluginv1.Entity{Slot: uint32(slot), Document: e.Doc}
}

// EntityOf reads the message that puts an entity into a slot.
func EntityOf(m *pluginv1.Entity) (slot uint16, e *wire.Entity, err error) {
	if m.GetSlot() >= wire.EntitySlots {
		return 0, nil, bad("entity", "slot %d, expected less than %d", m.GetSlot(), wire.EntitySlots)
	}
	doc, err := document("entity", m.GetDocument())
	if err != nil {
		return 0, nil, err
	}
	if doc == nil {
		return 0, nil, bad("entity", "slot %d has no document", m.GetSlot())
	}
	return uint16(m.GetSlot()), wire.EntityOf(doc), nil
}

// Log makes the message of a log line.
func Log(l *wire.LogLine) *pluginv1.Log {
	return &pluginv1.Log{Level: uint32(l.Level), Message: []byte(l.Message)}
}

// LogOf reads a log line.
func LogOf(m *pluginv1.Log) wire.LogLine {
	return wire.LogLine{Level: uint8(min(m.GetLevel(), math.MaxUint8)), Message: string(m.GetMessage())}
}

// GoAway makes the message that a side sends before it closes the lane.
func GoAway(g *wire.GoAway) *pluginv1.GoAway {
	return &pluginv1.GoAway{Code: text(g.Code), Message: text(g.Message)}
}

// GoAwayOf reads a goaway.
func GoAwayOf(m *pluginv1.GoAway) wire.GoAway {
	return wire.GoAway{Code: m.GetCode(), Message: m.GetMessage()}
}
