// Command idle shows what idle keep-alive connections cost a gateway in memory. It opens connections, sends one request over each and waits for its
// response, as a browser does, and then leaves them open while it reads the resident memory of the gateway's process.
//
//	idle --url http://127.0.0.1:8000/orders --pid 4711
//	idle --url http://127.0.0.1:8000/orders --pid 4711 --connections 1000,10000 --settle 10s --max 150
//
// It prints a line of JSON for every number of connections: resident memory in MB when the connections had been idle for the time of --settle, and KB per
// connection, against the memory before the first connection. At the end every connection must still serve a request. --max makes a larger figure (MB, of
// the last line) an error. Linux only. The number of open files of both processes must allow for the connections: ulimit -n.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// patience bounds the wait for one response.
const patience = 20 * time.Second

func main() {
	target := flag.String("url", "", "what is requested, http only")
	pid := flag.Int("pid", 0, "the gateway's process")
	counts := flag.String("connections", "10000", "numbers of connections, ascending, with commas")
	settle := flag.Duration("settle", 10*time.Second, "how long the connections are idle before memory is read")
	limit := flag.Float64("max", 0, "MB resident at most with all connections; 0: no limit")
	flag.Parse()
	if err := run(*target, *pid, *counts, *settle, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1)
	}
}

// Result is one line of output.
type Result struct {
	Connections   int     `json:"connections"`
	ResidentMB    float64 `json:"resident_mb"`
	BeforeMB      float64 `json:"before_mb"` // without connections
	PerConnection float64 `json:"kb_per_connection"`
}

func run(target string, pid int, counts string, settle time.Duration, limit float64) error {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("--url: found %q, expected http://host:port/path", target)
	}
	numbers, err := ascending(counts)
	if err != nil {
		return fmt.Errorf("--connections: %w", err)
	}
	if err := allow(numbers[len(numbers)-1]); err != nil {
		return err
	}
	before, err := resident(pid)
	if err != nil {
		return fmt.Errorf("--pid: %w", err)
	}
	clients := make([]*client, 0, numbers[len(numbers)-1])
	defer func() {
		for _, c := range clients {
			_ = c.conn.Close()
		}
	}()
	var last Result
	for _, n := range numbers {
		for len(clients) < n {
			c, err := open(u)
			if err != nil {
				return fmt.Errorf("connection %d of %d: %w", len(clients)+1, n, err)
			}
			clients = append(clients, c)
		}
		<-time.After(settle) // being idle for a while is what is measured
		now, err := resident(pid)
		if err != nil {
			return err
		}
		last = Result{Connections: n, ResidentMB: mega(now), BeforeMB: mega(before), PerConnection: float64(now-before) / 1024 / float64(n)}
		if err := json.NewEncoder(os.Stdout).Encode(last); err != nil {
			return err
		}
	}
	for i, c := range clients {
		if err := c.ask(u); err != nil {
			return fmt.Errorf("connection %d of %d, after it was idle: %w", i+1, len(clients), err)
		}
	}
	if limit > 0 && last.ResidentMB > limit {
		return fmt.Errorf("%d idle connections: found %.1f MB resident, expected at most %.1f MB", last.Connections, last.ResidentMB, limit)
	}
	return nil
}

func mega(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// ascending reads numbers with commas.
func ascending(list string) ([]int, error) {
	var numbers []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("found %q, expected a number from 1", word)
		}
		numbers = append(numbers, n)
	}
	if !slices.IsSorted(numbers) {
		return nil, fmt.Errorf("found %q, expected ascending numbers", list)
	}
	return numbers, nil
}

// client is one connection.
type client struct{ conn net.Conn }

// open makes a connection and has one request answered.
func open(u *url.URL) (*client, error) {
	conn, err := net.DialTimeout("tcp", u.Host, patience)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn}
	if err := c.ask(u); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// ask sends a request and reads its response to the end.
func (c *client) ask(u *url.URL) error {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: idle\r\nAccept: */*\r\n\r\n", u.RequestURI(), u.Host); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(c.conn), nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.Close {
		return errors.New("the gateway closes the connection after one response, expected keep-alive")
	}
	return nil
}
