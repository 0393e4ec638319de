//go:build !linux

package server

import "time"

// ticker ticks by Go's clock.
type ticker struct{ period time.Duration }

func newTicker(period time.Duration) *ticker { return &ticker{period} }

func (t *ticker) wait()   { time.Sleep(t.period) }
func (t *ticker) pause()  {}
func (t *ticker) resume() {}
func (t *ticker) close()  {}
