package main

import (
	"strings"
	"testing"
	"time"
)

const wrkReport = `Running 2s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.31ms    1.20ms  24.50ms   93.77%
    Req/Sec    52.10k     3.10k   58.00k    75.00%
  Latency Distribution
     50%    1.10ms
     75%    1.40ms
     90%    1.92ms
     99%  940.00us
  104200 requests in 2.01s, 85.10MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 7
Requests/sec:  51840.80
Transfer/sec:     42.34MB
`

func TestParseWrk(t *testing.T) {
	got, err := parseWrk(wrkReport)
	want := load{
		Requests: 104200, Elapsed: 2010 * time.Millisecond, PerSecond: 51840.80, P50: 1100 * time.Microsecond, P99: 940 * time.Microsecond,
		Errors: Errors{Status: 7, Connect: 1, Read: 2, Write: 3, Timeout: 4},
	}
	if err != nil || got != want {
		t.Fatalf("found %+v, %v\nexpected %+v", got, err, want)
	}
	if got.Errors.Total() != 17 || got.Errors.String() != "7 no success, 1 connect, 2 read, 3 write, 4 timeout" {
		t.Fatalf("found %d: %s", got.Errors.Total(), got.Errors)
	}
}

func TestParseWrkWithoutErrors(t *testing.T) {
	var kept []string
	for line := range strings.Lines(wrkReport) {
		if !strings.Contains(line, "rrors") && !strings.Contains(line, "Non-2xx") {
			kept = append(kept, line)
		}
	}
	got, err := parseWrk(strings.Join(kept, ""))
	if err != nil || got.Errors != (Errors{}) || got.Requests != 104200 {
		t.Fatalf("found %+v, %v", got, err)
	}
}

func TestParseWrkRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":     "",
		"a failure":   "unable to connect to 127.0.0.1:8000 Connection refused\n",
		"no latency":  strings.ReplaceAll(wrkReport, "50%", "5%"),
		"no requests": strings.Replace(wrkReport, "104200 requests", "0 requests", 1),
		"a bad time":  strings.Replace(wrkReport, "1.10ms", "1.10parsecs", 1),
		"a huge rate": strings.Replace(wrkReport, "104200 requests", "99999999999999999999 requests", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseWrk(text); err == nil {
				t.Fatalf("found %+v, expected an error", got)
			}
		})
	}
}
