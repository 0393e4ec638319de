package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// spare is how many files the program needs beside the connections.
const spare = 64

// allow says whether this process may have so many connections. Go has raised the soft limit of open files to the hard one already.
func allow(connections int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit of open files: %w", err)
	}
	if uint64(connections)+spare > limit.Cur {
		return fmt.Errorf("%d connections: found a limit of %d open files, expected %d at least; raise it with ulimit -n", connections, limit.Cur, connections+spare)
	}
	return nil
}

// resident is the memory of a process that is in RAM, bytes.
func resident(pid int) (int64, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/status"
	status, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return residentIn(status, path)
}

// residentIn finds VmRSS in the text of a status file.
func residentIn(status []byte, path string) (int64, error) {
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "VmRSS:" && string(fields[2]) == "kB" {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			if err == nil {
				return n << 10, nil
			}
		}
	}
	return 0, fmt.Errorf("%s: no line VmRSS in kB: is the process still running?", path)
}
