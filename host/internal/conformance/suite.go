// Package conformance runs the vectors of the PDK through every implementation: the engine inside the host, the plugin servers of each
// language over each carrier, and the test kits. docs/conformance.md tells how.
//
// Who does what:
//
//	Suite     the vectors, the implementations and the known differences; Run makes the Table
//	native    the Go driver as a plugin inside the host
//	servers   plugin server processes with the drivers, and the lanes to them
//	kit       the program that answers vectors with a test kit
//	reports   where drivers say what came of their calls
//	exchange  the operations of every implementation, applied as the host applies them
package conformance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// patience bounds one vector on one implementation. It is long: a machine may be loaded.
const patience = 60 * time.Second

// implementation is one column of the table.
type implementation interface {
	// name such as "python/msgpack".
	name() string
	// typed: the compiler refuses arguments of wrong types.
	typed() bool
	// run runs a vector. Its log lines may come later, until settle has returned. The errors are differences that Check does not see.
	run(ctx context.Context, v *vectors.Vector) (*vectors.Run, []error)
	// settle waits for what is still on its way once all vectors have run.
	settle(ctx context.Context) error
}

// Suite is what one run of the suite needs.
type Suite struct {
	Vectors []*vectors.Vector
	Known   []Difference

	implementations []implementation
	types           *typeChecker
}

// cell is one vector on one implementation.
type cell struct {
	vector *vectors.Vector
	impl   implementation
	how    string // "": it ran; otherwise how else it passed
	result *vectors.Run
	diffs  []error
}

// Run runs every vector on every implementation, several at once.
func (s *Suite) Run(ctx context.Context, atOnce int) (*Table, error) {
	jobs := make(chan *cell)
	var cells []*cell
	for _, v := range s.Vectors {
		for _, impl := range s.implementations {
			cells = append(cells, &cell{vector: v, impl: impl})
		}
	}
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for c := range jobs {
				s.one(ctx, c)
			}
		})
	}
	for _, c := range cells {
		jobs <- c
	}
	close(jobs)
	wg.Wait()
	for _, impl := range s.implementations {
		if err := impl.settle(ctx); err != nil {
			return nil, fmt.Errorf("implementation %s: %w", impl.name(), err)
		}
	}
	for _, c := range cells {
		if c.result != nil {
			c.diffs = append(c.diffs, c.vector.Check(c.result)...)
			c.diffs = append(c.diffs, accepted(c.vector, c.result)...)
		}
	}
	return newTable(s, cells), nil
}

// one runs one vector on one implementation.
func (s *Suite) one(ctx context.Context, c *cell) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v := c.vector
	if v.Untyped && c.impl.typed() {
		left, err := s.types.expressible(v)
		switch {
		case err != nil:
			c.diffs = append(c.diffs, err)
			return
		case left == nil:
			c.how = "refused at compile time"
			return
		}
		v = left
		c.vector = left
	}
	c.result, c.diffs = c.impl.run(ctx, v)
}

// byName puts the implementations in a fixed order.
func (s *Suite) byName() {
	slices.SortStableFunc(s.implementations, func(a, b implementation) int { return cmp.Compare(rank(a.name()), rank(b.name())) })
}

// order of the columns.
var order = []string{
	"native", "go/msgpack", "go/grpc", "python/msgpack", "python/grpc", "python-async/msgpack", "python-async/grpc", "js/msgpack", "js/grpc",
	"kit/go", "kit/python", "kit/js",
}

func rank(name string) int { return slices.Index(order, name) }
