//go:build !linux || race

package msgpack

import "syscall"

// readSocket reads from a socket that does not block. The race detector sees these calls.
func readSocket(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }

// writeSocket writes to a socket that does not block.
func writeSocket(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
