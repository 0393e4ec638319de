package server

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/pdk/schema"
)

// instance is one plugin with one configuration.
type instance struct {
	id       uint64
	record   string // id of the plugin record
	plugin   string
	handlers pdk.Handlers
	// uses counts the calls that run, and one for being in the table. At zero the instance is closed, once.
	uses  atomic.Int64
	table *instances

	paces [8]pace // by the phase's code
}

// pace is how quickly the handler of a phase ran lately; nil when there is none.
func (in *instance) pace(phase uint8) *pace {
	if in == nil || int(phase) >= len(in.paces) {
		return nil
	}
	return &in.paces[phase]
}

// acquire keeps the instance open for a call. It fails when it is closed already.
func (in *instance) acquire() bool {
	for {
		n := in.uses.Load()
		if n == 0 {
			return false
		}
		if in.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives a use back and closes the instance after the last one.
func (in *instance) release() {
	if in.uses.Add(-1) != 0 || in.handlers.Close == nil {
		return
	}
	in.table.closing.up()
	go func() { // it may take long, and the caller answers a call
		defer in.table.closing.down()
		closing := func() error {
			if err := in.handlers.Close(); err != nil {
				return errors.New(local.Spoken(err)) // err itself stays here: its methods are the plugin's
			}
			return nil
		}
		if err := contain("Close", closing); err != nil {
			in.table.failed(in, err)
		}
	}()
}

// instances is the table of instances by the id that the host chose. Readers take no lock.
type instances struct {
	mu      sync.Mutex // of writers
	table   atomic.Pointer[map[uint64]*instance]
	closing gauge                         // Close methods that run
	failed  func(in *instance, err error) // told the error of a Close
}

// acquire finds an instance and keeps it open until its release; nil when there is none.
func (t *instances) acquire(id uint64) *instance {
	for {
		table := t.table.Load()
		if table == nil {
			return nil
		}
		in := (*table)[id]
		if in == nil || in.acquire() {
			return in
		}
		// It was closed, which happens after it has left the table: another one may be in its place.
	}
}

// pace is the pace of a phase of an instance; nil when there is none.
func (t *instances) pace(id uint64, phase uint8) *pace {
	table := t.table.Load()
	if table == nil {
		return nil
	}
	return (*table)[id].pace(phase)
}

// put adds an instance and lets go of the one it replaces.
func (t *instances) put(in *instance) {
	in.uses.Store(1)
	in.table = t
	old := t.change(func(m map[uint64]*instance) *instance {
		old := m[in.id]
		m[in.id] = in
		return old
	})
	if old != nil {
		old.release()
	}
}

// discard closes an instance that was never in the table.
func (t *instances) discard(in *instance) {
	in.uses.Store(1)
	in.table = t
	in.release()
}

// remove lets go of an instance. An unknown id is fine.
func (t *instances) remove(id uint64) {
	old := t.change(func(m map[uint64]*instance) *instance {
		old := m[id]
		delete(m, id)
		return old
	})
	if old != nil {
		old.release()
	}
}

func (t *instances) change(f func(map[uint64]*instance) *instance) *instance {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[uint64]*instance{}
	if table := t.table.Load(); table != nil {
		maps.Copy(next, *table)
	}
	old := f(next)
	t.table.Store(&next)
	return old
}

// ids lists the ids in the table.
func (t *instances) ids() []uint64 {
	var ids []uint64
	if table := t.table.Load(); table != nil {
		for id := range *table {
			ids = append(ids, id)
		}
	}
	return ids
}

// configure makes an instance of a plugin with a configuration and puts it into the table. An error is a *schema.Error when the configuration is at
// fault.
func (s *Server) configure(id uint64, record string, h *hosted, config []byte) error {
	in, err := instantiate(id, record, h, config)
	if err == nil {
		s.instances.put(in)
	}
	return err
}

func instantiate(id uint64, record string, h *hosted, config []byte) (*instance, error) {
	value, err := construct(h.plugin)
	if err != nil {
		return nil, err
	}
	if err := contain("decoding the configuration", func() error { return schema.Decode(value, config) }); err != nil {
		return nil, err
	}
	handlers, err := pdk.HandlersOf(value)
	if err != nil {
		return nil, err
	}
	if handlers.Configure != nil {
		err := contain("Configure", func() error {
			err := handlers.Configure()
			var faults *schema.Error
			switch {
			case err == nil:
				return nil
			case errors.As(err, &faults) && len(faults.Problems) > 0: // without one the host would take the configuration for accepted
				return faults
			}
			refused := &schema.Error{} // err itself stays here: its methods are the plugin's, and nothing contains them outside
			for _, f := range pdk.ConfigErrors(err) {
				refused.Problems = append(refused.Problems, schema.Problem{Path: f.Path, Message: f.Message})
			}
			return refused
		})
		if err != nil {
			return nil, err
		}
	}
	return &instance{id: id, record: record, plugin: h.plugin.Name, handlers: handlers}, nil
}
