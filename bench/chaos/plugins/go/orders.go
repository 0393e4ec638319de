package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// orders by their word in the header X-Chaos.
var orders = map[string]func(args []string) error{
	"hang": hang, "fail": fail, "die": die, "raw": raw, "hog": hog, "bomb": bomb, "descriptors": descriptors, "log": logLine,
}

// numbers reads whole numbers.
func numbers(args []string) ([]int, error) {
	list := make([]int, len(args))
	for i, a := range args {
		var err error
		if list[i], err = strconv.Atoi(a); err != nil {
			return nil, fmt.Errorf("X-Chaos: %w", err)
		}
	}
	return list, nil
}

func hang(args []string) error {
	n, err := numbers(args)
	if err != nil {
		return err
	}
	time.Sleep(time.Duration(n[0]) * time.Millisecond)
	return nil
}

func fail([]string) error { return errors.New("ordered to fail") }

func die([]string) error {
	os.Exit(3)
	return nil
}

// raw writes bytes that nobody expects to the host.
func raw(args []string) error {
	head, err := hex.DecodeString(args[1])
	if err != nil {
		return fmt.Errorf("X-Chaos: %w", err)
	}
	n, err := numbers(args[2:])
	if err != nil {
		return err
	}
	sockets, err := connections(args[0])
	if err != nil {
		return err
	}
	bytes := append(head, make([]byte, n[0]<<10)...)
	for _, fd := range sockets {
		_, _ = syscall.Write(fd, bytes) // the host may have closed it, or its buffer may be full
	}
	return nil
}

// connections are the descriptors of the connections of one socket in the run directory: control, or the one for calls.
func connections(which string) ([]int, error) {
	control := fmt.Sprintf("c%d.sock", os.Getpid())
	lanes, err := connected()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil {
			continue // closed since
		}
		path, ours := lanes[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")]
		if fd, err := strconv.Atoi(e.Name()); err == nil && ours && (filepath.Base(path) == control) == (which == "control") {
			found = append(found, fd)
		}
	}
	return found, nil
}

// connected are the paths of the connected sockets in the run directory, by inode.
func connected() (map[string]string, error) {
	text, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	list := map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line) // address, references, protocol, flags, type, state, inode, path
		if len(f) == 8 && f[5] == "03" && filepath.Dir(f[7]) == os.Getenv("OUTRIGGER_RUN_DIR") {
			list[f[6]] = f[7]
		}
	}
	return list, nil
}

// step is what hog takes at a time, bytes.
const step = 8 << 20

func hog(args []string) error {
	n, err := numbers(args)
	if err != nil {
		return err
	}
	var taken [][]byte
	for range n[0] << 20 / step {
		block := make([]byte, step)
		for i := 0; i < step; i += 4096 {
			block[i] = 1
		}
		taken = append(taken, block)
	}
	time.AfterFunc(time.Duration(n[1])*time.Millisecond, func() { clear(taken) })
	return nil
}

func bomb(args []string) error {
	n, err := numbers(args)
	if err != nil {
		return err
	}
	for range n[0] {
		c := exec.Command("sh", "-c", "sleep 300 & sleep 300 & wait")
		if err := c.Start(); err != nil {
			return err
		}
		go func() { _ = c.Wait() }()
	}
	return nil
}

func descriptors(args []string) error {
	n, err := numbers(args)
	if err != nil {
		return err
	}
	var taken []*os.File
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	time.AfterFunc(time.Duration(n[0])*time.Millisecond, func() {
		for _, f := range taken {
			_ = f.Close()
		}
	})
	return nil
}

func logLine([]string) error {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = f.WriteString("a line\n")
	return err
}
