// Package probe asks a running gateway what it says of itself, over its Admin listener, and the kernel what the process uses.
package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Admin asks the Admin listener of a gateway, which is a unix socket.
type Admin struct {
	Socket string
	http   http.Client
}

// NewAdmin is for a socket that need not be there yet. Each answer has the limit to come.
func NewAdmin(socket string, limit time.Duration) *Admin {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Admin{socket, http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: limit}}
}

// Ask sends a request and gives the body of the answer, whose status has to be 200.
func (a *Admin) Ask(method, path string) ([]byte, error) {
	req, err := http.NewRequest(method, "http://admin"+path, nil)
	if err != nil {
		return nil, err
	}
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s of the Admin listener: status %d: %.300q", method, path, resp.StatusCode, body)
	}
	return body, nil
}

// Status reads what of /status has a place in into.
func (a *Admin) Status(into any) error {
	body, err := a.Ask(http.MethodGet, "/status")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("/status of the Admin listener: %w", err)
	}
	return nil
}

// Metrics is the text of /metrics.
func (a *Admin) Metrics() ([]byte, error) { return a.Ask(http.MethodGet, "/metrics") }

// Metric reads the value of a metric without labels from Prometheus' text format.
func Metric(text []byte, name string) (float64, error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == name {
			return strconv.ParseFloat(fields[1], 64)
		}
	}
	return 0, fmt.Errorf("metrics: no %s among %d bytes", name, len(text))
}

// Resident is the memory of a process that is in RAM, in KiB.
func Resident(pid int) (int, error) {
	text, err := os.ReadFile(Proc(pid, "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
		}
	}
	return 0, fmt.Errorf("process %d: no VmRSS in its status", pid)
}

// Descriptors is how many a process has open.
func Descriptors(pid int) (int, error) {
	open, err := os.ReadDir(Proc(pid, "fd"))
	return len(open), err
}

// Proc is a file or directory that the kernel has about a process.
func Proc(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }
