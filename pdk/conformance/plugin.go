// Package conformance is the driver of the Go PDK: a plugin that makes the calls of a vector and says what came of each. docs/conformance.md
// says how drivers and runner talk.
package conformance

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// Plugin is the driver.
var Plugin = pdk.Plugin{Name: "conformance-go", Version: "0.1.0", Authenticates: true, New: func() any { return &Driver{} }}

// Driver is one instance: it makes the calls of one vector.
type Driver struct {
	// Vector is the JSON text of the vector.
	Vector string `json:"vector"`
	// Socket is the path of the unix socket at which the runner takes reports, Run the name of this run there.
	Socket string `json:"socket"`
	Run    string `json:"run"`

	program Program
}

// Program is what a driver reads of a vector.
type Program struct {
	Calls    []vectors.Call
	Late     []vectors.Call
	Returns  any
	Together bool
	Ends     string
}

// Configure reads the vector.
func (d *Driver) Configure() error {
	dec := json.NewDecoder(strings.NewReader(d.Vector))
	dec.UseNumber()
	if err := dec.Decode(&d.program); err != nil {
		return fmt.Errorf("reading the vector: %w", err)
	}
	return nil
}

// The handlers of all phases do the same.

func (d *Driver) Rewrite(k *pdk.PDK) error      { return d.handle(k) }
func (d *Driver) Access(k *pdk.PDK) error       { return d.handle(k) }
func (d *Driver) Response(k *pdk.PDK) error     { return d.handle(k) }
func (d *Driver) HeaderFilter(k *pdk.PDK) error { return d.handle(k) }
func (d *Driver) Log(k *pdk.PDK) error          { return d.handle(k) }

func (d *Driver) BodyFilter(k *pdk.PDK, _ []byte, _ bool) ([]byte, error) {
	if err := d.handle(k); err != nil || d.program.Returns == nil {
		return nil, err
	}
	body, err := vectors.Value(d.program.Returns)
	piece, ok := body.([]byte)
	if err == nil && !ok {
		err = fmt.Errorf("returns: found %v; expected bytes", body)
	}
	return piece, err
}

// tardiness is how long a handler that is late takes, dying how long one runs before it ends its process.
const tardiness, dying = 3 * time.Second, time.Second

// end ends the handler as the vector says.
func (p *Program) end() error {
	switch p.Ends {
	case "failed":
		return errors.New("the vector ends so")
	case "late":
		time.Sleep(tardiness)
	case "killed":
		time.Sleep(dying)
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return err
		}
		time.Sleep(tardiness)
	}
	return nil
}

// report is one line to the runner.
type report struct {
	Run     string           `json:"run"`
	Results []vectors.Result `json:"results"`
}

func (d *Driver) handle(k *pdk.PDK) error {
	c := NewCaller(k)
	results := c.Run(&d.program)
	conn, err := net.Dial("unix", d.Socket)
	if err != nil {
		return fmt.Errorf("reporting to the runner: %w", err)
	}
	if err := json.NewEncoder(conn).Encode(report{d.Run, results}); err != nil || len(d.program.Late) == 0 {
		_ = conn.Close()
		if err != nil {
			return err
		}
		return d.program.end()
	}
	go func() { // the runner says when the handler is over for it
		defer conn.Close()
		if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
			_ = json.NewEncoder(conn).Encode(report{d.Run, c.All(d.program.Late)})
		}
	}()
	return nil
}
