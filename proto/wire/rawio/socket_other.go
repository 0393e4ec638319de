//go:build !linux || race

package rawio

import "syscall"

// Read reads from a socket that does not block. The race detector sees these calls.
func Read(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }

// Write writes to a socket that does not block.
func Write(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
