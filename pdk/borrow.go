package pdk

import (
	"slices"
	"unsafe"
)

// borrowed hides from escape analysis that a backend sees list, so that the list of a variadic call stays on the caller's stack: setting a header
// allocates nothing. That is sound because a Backend must not keep the list. What the list holds may be kept, and therefore escapes.
//
// Nothing may be called while the address is a number: a stack that grows meanwhile leaves it behind. The race detector's builds would check
// the pointers here, by calls.
//
//go:nocheckptr
func borrowed[T any](list []T) []T {
	if sink != nil {
		*sink = slices.Clone(list)
	}
	hidden := uintptr(unsafe.Pointer(unsafe.SliceData(list)))
	return unsafe.Slice(*(**T)(unsafe.Pointer(&hidden)), len(list))
}

// sink is nil, which the compiler does not know.
var sink *any
