// Package vectors reads the vectors of the PDK, gives their facts as a call of the wire, answers their questions, and compares what a
// handler did with what they expect. README.md in pdk/ says what a vector is.
//
// It knows no language and no engine: whoever runs a vector fills a Run and asks Check.
package vectors

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

//go:embed pdk/*.json
var files embed.FS

// Vector is one handler call. Values stay as encoding/json reads them, numbers as json.Number, until Value turns them into Go's.
type Vector struct {
	File string `json:"-"` // without directory and .json
	// Text is the vector as it stands in its file, for drivers, which read it themselves.
	Text json.RawMessage `json:"-"`

	Name    string
	Phase   string
	Facts   Facts
	Node    Node
	Untyped bool
	// PluginID is the id of the plugin record, which Configure names; "": the usual one.
	PluginID string `json:"plugin_id"`
	// Together: the calls are made at the same time, so their operations have no order.
	Together bool
	// Ends is how the handler ends once it has reported, when it does not return: failed, late or killed. Only tests of the suite use it.
	Ends    string
	Calls   []Call
	Late    []Call
	Asks    []Ask
	Returns any
	Body    any
	Ops     [][]any
	Logs    []any
}

// Call is one call of a PDK function.
type Call struct {
	Fn      string
	Args    []any
	Error   string          // code; "": the call succeeds
	Result  json.RawMessage // empty: not compared
	Swallow bool
}

// Ask is one question that reaches the host, with the answer.
type Ask struct {
	Ask   wire.AskFn
	Args  []any
	Value any
	Error []string // code and message
}

// Node is what the host's hello says.
type Node struct {
	TrustedCIDRs []netip.Prefix `json:"trusted_cidrs"`
	LogLevel     uint8          `json:"log_level"`
	MaxBody      *uint64        `json:"max_body"`
	MaxShared    *uint64        `json:"max_shared"`
	// ClusterID is nil when the node belongs to no cluster.
	ClusterID      *string `json:"cluster_id"`
	TelemetryLogs  *bool   `json:"telemetry_logs"`
	GatewayVersion string  `json:"gateway_version"`
}

// NodeID is the id of the node in every vector.
const NodeID = "6f8b0c5e-0000-4000-8000-000000000001"

// RecordID is the id of the plugin record.
func (v *Vector) RecordID() string { return or(v.PluginID, "7a1f0000-0000-4000-8000-000000000001") }

// Hello is the host's hello on the lane of a vector.
func (n *Node) Hello() wire.HostHello {
	h := wire.HostHello{
		Version: wire.Version, NodeID: NodeID, Hostname: "gw", GatewayVersion: or(n.GatewayVersion, "0.2.0"), LogLevel: n.LogLevel,
		MaxBody: 1 << 20, MaxShared: 64 << 10, TelemetryLogs: n.TelemetryLogs == nil || *n.TelemetryLogs,
	}
	for _, p := range n.TrustedCIDRs {
		h.TrustedCIDRs = append(h.TrustedCIDRs, p.String())
	}
	if n.MaxBody != nil {
		h.MaxBody = *n.MaxBody
	}
	if n.MaxShared != nil {
		h.MaxShared = *n.MaxShared
	}
	if n.ClusterID != nil {
		h.ClusterID = *n.ClusterID
	}
	return h
}

// ID names a vector among all: its file and its name.
func (v *Vector) ID() string { return v.File + ": " + v.Name }

// Load reads all vectors, in order of their files. Two of one file must not have the same name.
func Load() ([]*Vector, error) {
	names, err := fs.Glob(files, "pdk/*.json")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("reading the vectors: no files (%v)", err)
	}
	var all []*Vector
	seen := map[string]bool{}
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the vectors: %w", err)
		}
		list, err := parse(strings.TrimSuffix(path.Base(name), ".json"), raw)
		if err != nil {
			return nil, err
		}
		for _, v := range list {
			if seen[v.ID()] {
				return nil, fmt.Errorf("reading the vectors: %q stands twice", v.ID())
			}
			seen[v.ID()] = true
		}
		all = append(all, list...)
	}
	return all, nil
}

// parse reads one file.
func parse(file string, raw []byte) ([]*Vector, error) {
	var doc struct{ Vectors []json.RawMessage }
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("reading the vectors: %s.json: %w", file, err)
	}
	list := make([]*Vector, len(doc.Vectors))
	for i, text := range doc.Vectors {
		v, err := Parse(file, text)
		if err != nil {
			return nil, fmt.Errorf("reading the vectors: %s.json: vector %d: %w", file, i+1, err)
		}
		list[i] = v
	}
	return list, nil
}

// Parse reads one vector. A key that is not known here is refused: nothing would compare it.
func Parse(file string, text []byte) (*Vector, error) {
	v := &Vector{File: file, Text: text}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return nil, fmt.Errorf("%q: %w", v.Name, err)
	}
	return v, nil
}

// phases in the order of their codes, from 1.
var phases = []string{"rewrite", "access", "response", "header_filter", "body_filter", "log"}

// PhaseCode is the code of the vector's phase on the wire; 0 for a phase that is none.
func (v *Vector) PhaseCode() uint8 {
	for i, name := range phases {
		if name == v.Phase {
			return uint8(i + 1)
		}
	}
	return 0
}
