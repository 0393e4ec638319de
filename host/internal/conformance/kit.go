package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// kit is a program that answers vectors with the test kit of its language: a JSON line for each, in order. It ends when its input does.
type kit struct {
	column  string
	reports *reports
	cmd     *exec.Cmd

	mu     sync.Mutex // one vector at a time
	input  io.WriteCloser
	output *bufio.Reader
}

// startKit starts the program of a kit.
func startKit(column string, command []string, reports *reports) (*kit, error) {
	k := &kit{column: column, reports: reports, cmd: exec.Command(command[0], command[1:]...)}
	k.cmd.Stderr = os.Stderr
	var err error
	if k.input, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	k.output = bufio.NewReaderSize(out, 1<<16)
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the program of %s: %w", column, err)
	}
	return k, nil
}

func (k *kit) name() string                 { return k.column }
func (k *kit) typed() bool                  { return false }
func (k *kit) settle(context.Context) error { return nil }

func (k *kit) close() error {
	_ = k.input.Close()
	defer time.AfterFunc(patience, func() { _ = k.cmd.Process.Kill() }).Stop()
	if err := k.cmd.Wait(); err != nil {
		return fmt.Errorf("the program of %s: %w", k.column, err)
	}
	return nil
}

// kitTask is what the program gets. Bytes are in hex.
type kitTask struct {
	Config   json.RawMessage   `json:"config"` // of the driver
	Node     kitNode           `json:"node"`
	Asks     json.RawMessage   `json:"asks,omitempty"` // as the vector has them
	Call     string            `json:"call"`           // body of the call's frame
	Entities map[string]string `json:"entities"`       // documents by slot
}

// kitNode is the node of the vector, with the usual values filled in.
type kitNode struct {
	ID            string   `json:"id"`
	Hostname      string   `json:"hostname"`
	Version       string   `json:"gateway_version"`
	ClusterID     string   `json:"cluster_id"`
	TrustedCIDRs  []string `json:"trusted_cidrs"`
	LogLevel      uint8    `json:"log_level"`
	MaxBody       uint64   `json:"max_body"`
	MaxShared     uint64   `json:"max_shared"`
	TelemetryLogs bool     `json:"telemetry_logs"`
	PluginID      string   `json:"plugin_id"`
}

// kitAnswer is what it says.
type kitAnswer struct {
	Fault     string
	Outcome   string // body of the outcome's frame
	Bulk      string // bodies that the outcome names only by their length
	Logs      [][2]any
	Questions [][]any // canonical name of the function, and the arguments, in the spelling of vectors
}

func (k *kit) run(ctx context.Context, v *vectors.Vector) (*vectors.Run, []error) {
	report := k.reports.expect()
	defer report.forget()
	task, err := newTask(v, report.config(v))
	if err != nil {
		return nil, []error{err}
	}
	answer, err := k.ask(ctx, task)
	if err != nil {
		return nil, []error{err}
	}
	if answer.Fault != "" {
		return nil, []error{errors.New("the kit: " + answer.Fault)}
	}
	run, err := answer.run()
	if err != nil {
		return nil, []error{err}
	}
	asker := v.Asker()
	for _, q := range answer.Questions {
		question, err := askOf(q)
		if err != nil {
			return nil, []error{err}
		}
		asker.Answer(question)
	}
	err = report.collect(ctx, v, run)
	return run, append(asker.Diffs(), errorList(err)...)
}

// Slots of the entities of a call.
var slots = wire.Slots{Route: 1, Service: 2, Consumer: 3}

func newTask(v *vectors.Vector, config []byte) (*kitTask, error) {
	call, err := v.Call()
	if err != nil {
		return nil, err
	}
	call.Instance, call.TimeoutMS = 1, 1000
	if large := wire.AppendLargeOfCall(nil, call); len(large) > 0 {
		return nil, errors.New("a body of the facts is over 32 KiB, which a call does not hold in one piece")
	}
	hello := v.Node.Hello()
	t := &kitTask{
		Config: config, Entities: map[string]string{}, Call: hex.EncodeToString(wire.AppendCall(nil, call, slots)),
		Node: kitNode{
			ID: hello.NodeID, Hostname: hello.Hostname, Version: hello.GatewayVersion, ClusterID: hello.ClusterID, LogLevel: hello.LogLevel,
			TrustedCIDRs: append([]string{}, hello.TrustedCIDRs...), MaxBody: hello.MaxBody, MaxShared: hello.MaxShared,
			TelemetryLogs: hello.TelemetryLogs, PluginID: v.RecordID(),
		},
	}
	for slot, e := range map[uint16]*wire.Entity{slots.Route: call.Route, slots.Service: call.Service, slots.Consumer: call.Consumer} {
		if e != nil {
			t.Entities[strconv.Itoa(int(slot))] = hex.EncodeToString(e.Doc)
		}
	}
	var vector struct{ Asks json.RawMessage }
	err = json.Unmarshal(v.Text, &vector)
	t.Asks = vector.Asks
	return t, err
}

// ask gives the program one task. One that does not answer in time is killed, which fails the tasks behind it too.
func (k *kit) ask(ctx context.Context, task *kitTask) (*kitAnswer, error) {
	line, err := json.Marshal(task)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	defer context.AfterFunc(ctx, func() { _ = k.cmd.Process.Kill() })()
	if _, err := k.input.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("the program of %s has ended: %w", k.column, err)
	}
	text, err := k.output.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the program of %s has ended: %w", k.column, err)
	}
	var a kitAnswer
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&a); err != nil {
		return nil, fmt.Errorf("the program of %s says %q: %w", k.column, text, err)
	}
	return &a, nil
}

// run reads outcome and log lines of an answer.
func (a *kitAnswer) run() (*vectors.Run, error) {
	run := &vectors.Run{}
	for _, l := range a.Logs {
		text, err := vectors.Value(l[1])
		if err != nil {
			return nil, err
		}
		level, _ := l[0].(json.Number)
		n, err := level.Int64()
		if err != nil {
			return nil, fmt.Errorf("the level of a log line: %w", err)
		}
		message, _ := text.(string)
		run.Logs = append(run.Logs, vectors.Line{Level: uint8(n), Message: message})
	}
	outcome, err := hex.DecodeString(a.Outcome)
	if err != nil {
		return nil, fmt.Errorf("the outcome: %w", err)
	}
	bulk, err := hex.DecodeString(a.Bulk)
	if err != nil {
		return nil, fmt.Errorf("the bodies of the outcome: %w", err)
	}
	return run, wire.DecodeOutcome(outcome, bulk, &run.Outcome)
}

// askOf makes a question of its function and arguments.
func askOf(q []any) (*wire.Ask, error) {
	spelt, err := vectors.Value(q)
	if err != nil {
		return nil, err
	}
	list := spelt.([]any)
	at := slices.IndexFunc(pdk.Functions[:], func(f pdk.Function) bool { return f.Ask != 0 && f.Name == list[0] })
	if at < 0 {
		return nil, fmt.Errorf("question %v: no function of that name asks", list)
	}
	ask := &wire.Ask{Fn: wire.AskFn(pdk.Functions[at].Ask)}
	for _, arg := range list[1:] {
		raw, err := wire.AppendValue(nil, arg)
		if err != nil {
			return nil, err
		}
		ask.Args = append(ask.Args, raw)
	}
	return ask, nil
}
