package pdk

import "context"

// Context ends when the call is cancelled, its deadline passes, or its handler has returned. Give it to what the handler waits for.
func (k *PDK) Context() context.Context { return k.backend.Context() }

// Err is the error that the handler fails with although nothing returned it: a read outside its phases, or any use of the PDK after
// the handler ended. It is nil as long as there was none.
func (k *PDK) Err() error { return k.backend.Err() }
