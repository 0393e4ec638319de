package pdk

import "context"

// Context ends when the call is cancelled, its deadline passes, or its handler has returned. Give it to what the handler waits for.
func (k *PDK) Context() context.Context { return k.backend.Context() }

// Err is the error that the handler fails with although nothing returned it: a read outside its phases, or any use of the PDK after
// the handler ended. It is nil as long as there was none.
func (k *PDK) Err() error { return k.backend.Err() }

// Refusal says why a function, such as FnRequestGetPath, may not be called now: in this phase, after the handler ended, or after an exit. It is nil
// when it may. Compatibility layers ask it, whose reads have an error result.
func (k *PDK) Refusal(fn int) error {
	if b, ok := k.backend.(interface{ Refusal(fn int) error }); ok {
		return b.Refusal(fn)
	}
	return nil
}
