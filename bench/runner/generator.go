package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/load"
	"github.com/outrigger-gateway/outrigger/bench/roles"
)

// generator is the process of the load generator.
type generator struct{ process *process }

func (r *Runner) startGenerator(cpus string) (*generator, error) {
	p, err := start(program{name: "load generator", dir: r.scratch, args: r.role(cpus, "load"), talks: true})
	return &generator{p}, err
}

// tell gives it an order.
func (g *generator) tell(o roles.Order) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if _, err := g.process.in.Write(append(line, '\n')); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", g.process.name, err), g.process.running())
	}
	return nil
}

// hear waits for its next message.
func (g *generator) hear(ctx context.Context, within time.Duration) (roles.Message, error) {
	var m roles.Message
	line, err := g.process.line(ctx, "{", within)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal([]byte("{"+line), &m); err != nil {
		return m, fmt.Errorf("%s: reading %q: %w", g.process.name, line, err)
	}
	if m.Error != "" {
		return m, errors.New(m.Error)
	}
	return m, nil
}

// drive runs a load. begin and end are called when the measurement begins and ends.
func (g *generator) drive(ctx context.Context, s load.Spec, begin, end func()) (load.Result, error) {
	if err := g.tell(roles.Order{Drive: &s}); err != nil {
		return load.Result{}, err
	}
	// Connections are opened first, and at a fixed rate the last answers may be late by as much as the timeout.
	patience := s.Warm + s.Time + 60*time.Second
	for {
		m, err := g.hear(ctx, patience)
		switch {
		case err != nil:
			return load.Result{}, err
		case m.Begin:
			begin()
		case m.End:
			end()
		case m.Result != nil:
			return *m.Result, nil
		}
	}
}

// hold opens idle connections, calls then, and closes them.
func (g *generator) hold(ctx context.Context, s load.Spec, then func() error) error {
	if err := g.tell(roles.Order{Hold: &s}); err != nil {
		return err
	}
	if _, err := g.hear(ctx, 2*time.Minute); err != nil {
		return err
	}
	found := then()
	if err := g.tell(roles.Order{}); err != nil {
		return err
	}
	_, err := g.hear(ctx, time.Minute)
	return errors.Join(found, err)
}
