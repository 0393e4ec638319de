package server

import (
	"context"
	"fmt"
	"sync"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
)

// maxHanging is how many configures of one instance may run that nobody waits for any more, before no other one is begun.
const maxHanging = 4

var errStillHanging = fmt.Errorf("%d earlier attempts still hang", maxHanging)

// attempts counts the configures that nobody waits for any more and that still run, by instance.
type attempts struct {
	mu      sync.Mutex
	hanging map[uint64]int
}

// configureWithin makes an instance on a goroutine of its own: a plugin that hangs there holds up nobody when ctx has ended. What it makes after
// that is closed.
func (s *Server) configureWithin(ctx context.Context, in *pluginv1.ConfigureRequest, h *hosted) error {
	id, a := in.GetInstanceId(), &s.configuring
	a.mu.Lock()
	full := a.hanging[id] >= maxHanging
	a.mu.Unlock()
	if full {
		return errStillHanging
	}
	var over, givenUp bool // guarded by a.mu: one of them comes first
	result := make(chan error, 1)
	go func() {
		made, err := instantiate(id, in.GetRecordId(), h, in.GetConfig())
		a.mu.Lock()
		over = true
		if givenUp {
			a.left(id)
		} else if err == nil {
			s.instances.put(made)
		}
		late := givenUp && err == nil
		a.mu.Unlock()
		if late {
			s.instances.discard(made)
		}
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	a.mu.Lock()
	givenUp = !over
	if givenUp {
		a.hang(id)
	}
	a.mu.Unlock()
	if !givenUp {
		return <-result
	}
	return context.Cause(ctx)
}

// hang and left count; mu is held.
func (a *attempts) hang(id uint64) {
	if a.hanging == nil {
		a.hanging = map[uint64]int{}
	}
	a.hanging[id]++
}

func (a *attempts) left(id uint64) {
	if a.hanging[id]--; a.hanging[id] == 0 {
		delete(a.hanging, id)
	}
}
