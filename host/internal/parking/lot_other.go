//go:build !linux

package parking

import (
	"errors"
	"time"
)

// Lot parks nothing on this system.
type Lot struct{}

// New fails with errors.ErrUnsupported.
func New() (*Lot, error) { return nil, errors.ErrUnsupported }

// Park refuses.
func (*Lot) Park(Conn, time.Time, func(Reason)) bool { return false }

// Evict finds none.
func (*Lot) Evict() bool { return false }

// Len is 0.
func (*Lot) Len() int { return 0 }

// Close does nothing.
func (*Lot) Close() {}
