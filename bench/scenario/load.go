package scenario

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Request is what is sent.
type Request struct {
	Method  string            `yaml:"method"`
	Path    string            `yaml:"path"`
	Headers map[string]string `yaml:"headers"`
}

// DefaultRequest is what a browser would send: eleven headers. X-Name is what the bench's plugins read.
func DefaultRequest() Request {
	return Request{Method: "GET", Path: "/bench/orders/17?page=2&sort=price", Headers: map[string]string{
		"User-Agent":       "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"Accept":           "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8",
		"Accept-Language":  "en-GB,en;q=0.7,de;q=0.3",
		"Accept-Encoding":  "gzip, deflate, br",
		"Authorization":    "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxNyJ9.kPq2bYv0m3mVhV0s0mXl4y6b8f1n5o9r2t7u3w6x1z0",
		"Cookie":           "session=7f3c9a1e5b2d4c68; theme=dark; consent=1",
		"Referer":          "https://shop.example/orders",
		"Origin":           "https://shop.example",
		"Cache-Control":    "no-cache",
		"X-Request-Source": "web",
		"X-Name":           "bench",
	}}
}

func (r *Request) empty() bool { return r.Method == "" && r.Path == "" && len(r.Headers) == 0 }

func (r *Request) validate() error {
	if r.Method == "" {
		r.Method = "GET"
	}
	if !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, " \t\r\n") {
		return fmt.Errorf("path is %q: expected one that starts with / and has no spaces", r.Path)
	}
	if strings.Trim(r.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || r.Method == "HEAD" || r.Method == "CONNECT" {
		return fmt.Errorf("method is %q: expected one such as GET or POST", r.Method)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		if name == "" || strings.ContainsAny(name, " :\t\r\n") || strings.ContainsAny(r.Headers[name], "\r\n") {
			return fmt.Errorf("header %q: %q: expected a name and a value of one line each", name, r.Headers[name])
		}
		if lower := strings.ToLower(name); lower == "content-length" || lower == "transfer-encoding" || lower == "connection" || lower == "expect" {
			return fmt.Errorf("header %s is set: the load generator sets it", name)
		}
	}
	return nil
}

// Bytes are the whole request, to a path below prefix, at host, with what a load adds.
func (r *Request) Bytes(host, prefix string, l Load) []byte {
	path := prefix + r.Path
	if l.Response >= 0 {
		path = prefix + "/bench/bytes/" + strconv.Itoa(l.Response)
	}
	method := r.Method
	if l.Body > 0 && method == "GET" {
		method = "POST"
	}
	b := []byte(method + " " + path + " HTTP/1.1\r\n")
	if _, own := r.Headers["Host"]; !own {
		b = append(b, "Host: "+host+"\r\n"...)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		b = append(b, name+": "+r.Headers[name]+"\r\n"...)
	}
	if l.Body > 0 || method != "GET" {
		b = append(b, "Content-Type: application/octet-stream\r\nContent-Length: "+strconv.Itoa(max(0, l.Body))+"\r\n"...)
	}
	b = append(b, "\r\n"...)
	for range l.Body {
		b = append(b, 'b')
	}
	return b
}

// Load is how hard a variant is driven.
type Load struct {
	Connections int `json:"connections"`
	// Rate in requests/s; 0: the closed loop.
	Rate int `json:"rate,omitempty"`
	// Body is the length of the body of each request, Response that of each response; -1: as the request and the upstream say.
	Body     int `json:"body"`
	Response int `json:"response"`
}

// String names a load, such as "64 connections, 2000 requests/s, request body of 16k".
func (l Load) String() string {
	text := strconv.Itoa(l.Connections) + " connection"
	if l.Connections != 1 {
		text += "s"
	}
	if l.Rate > 0 {
		text += ", " + strconv.Itoa(l.Rate) + " requests/s"
	}
	if l.Body >= 0 {
		text += ", request body of " + SizeText(l.Body)
	}
	if l.Response >= 0 {
		text += ", response body of " + SizeText(l.Response)
	}
	return text
}

// SizeText writes a size, such as 16k.
func SizeText(n int) string {
	switch {
	case n > 0 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "m"
	case n > 0 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "k"
	}
	return strconv.Itoa(n)
}

// Loads are read from items in which each field has one value or a list of them: a load is made of each combination.
type Loads []Load

// UnmarshalYAML reads them.
func (l *Loads) UnmarshalYAML(node *yaml.Node) error {
	var items []map[string]any
	if err := node.Decode(&items); err != nil {
		return fmt.Errorf("loads: found what is no list of mappings: %w", err)
	}
	*l = nil
	for i, item := range items {
		fields := map[string][]int{"connections": nil, "rate": {0}, "body": {-1}, "response": {-1}}
		for _, name := range slices.Sorted(maps.Keys(item)) {
			if _, known := fields[name]; !known {
				names := slices.Sorted(maps.Keys(fields))
				return fmt.Errorf("loads[%d]: unknown key %q%s: expected %s", i, name, Nearest(name, names), strings.Join(names, ", "))
			}
			values, err := sizes(item[name])
			if err != nil {
				return fmt.Errorf("loads[%d].%s: %w", i, name, err)
			}
			fields[name] = values
		}
		if len(fields["connections"]) == 0 {
			return fmt.Errorf("loads[%d]: connections is missing: expected a number or a list such as [1, 64]", i)
		}
		for _, response := range fields["response"] {
			for _, body := range fields["body"] {
				for _, rate := range fields["rate"] {
					for _, connections := range fields["connections"] {
						load := Load{connections, rate, body, response}
						if err := load.validate(); err != nil {
							return fmt.Errorf("loads[%d]: %w", i, err)
						}
						*l = append(*l, load)
					}
				}
			}
		}
	}
	return nil
}

func (l Load) validate() error {
	const largest = 64 << 20
	switch {
	case l.Connections < 1 || l.Connections > 10_000:
		return fmt.Errorf("found %d connections: expected 1 to 10000", l.Connections)
	case l.Rate < 0 || l.Rate > 1_000_000:
		return fmt.Errorf("found a rate of %d: expected 0 to 1000000 requests/s", l.Rate)
	case l.Body > largest || l.Response > largest:
		return errors.New("found a body above 64m: expected at most that")
	}
	return nil
}

// sizes reads a number, or text such as 16k, or a list of them.
func sizes(value any) ([]int, error) {
	switch v := value.(type) {
	case int:
		return []int{v}, nil
	case string:
		shift := 0
		switch {
		case strings.HasSuffix(v, "k"):
			shift = 10
		case strings.HasSuffix(v, "m"):
			shift = 20
		}
		n, err := strconv.Atoi(strings.TrimRight(v, "km"))
		if err != nil || n < 0 || n > 1<<20 {
			return nil, fmt.Errorf("found %q: expected a number, or a size such as 16k or 1m", v)
		}
		return []int{n << shift}, nil
	case []any:
		var list []int
		for _, item := range v {
			n, err := sizes(item)
			if err != nil {
				return nil, err
			}
			list = append(list, n...)
		}
		return list, nil
	}
	return nil, fmt.Errorf("found %v: expected a number, a size such as 16k, or a list of them", value)
}

// withConnections keeps the loads with these numbers of connections. When no load has one of them, the first load is taken with each.
func (l Loads) withConnections(numbers []int) Loads {
	if len(numbers) == 0 {
		return l
	}
	var kept Loads
	for _, load := range l {
		if slices.Contains(numbers, load.Connections) {
			kept = append(kept, load)
		}
	}
	if len(kept) > 0 {
		return kept
	}
	for _, n := range numbers {
		load := l[0]
		load.Connections = n
		kept = append(kept, load)
	}
	return kept
}
