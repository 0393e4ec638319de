package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestAscending(t *testing.T) {
	if got, err := ascending("10, 20,20"); err != nil || !slices.Equal(got, []int{10, 20, 20}) {
		t.Errorf("%v %v", got, err)
	}
	for _, wrong := range []string{"", "x", "0", "20,10"} {
		if _, err := ascending(wrong); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestResident(t *testing.T) {
	if n, err := residentIn([]byte("Name:\tx\nVmRSS:\t  2048 kB\n"), "x"); err != nil || n != 2<<20 {
		t.Errorf("%d %v", n, err)
	}
	if _, err := residentIn([]byte("Name:\tx\n"), "x"); err == nil {
		t.Error("a status without memory is taken")
	}
	if n, err := resident(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("this process: %d %v", n, err)
	}
}

// The connections stay the same ones, are answered before and after, and a limit that does not hold is an error.
func TestRun(t *testing.T) {
	peers := make(chan string, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peers <- r.RemoteAddr
		_, _ = io.WriteString(w, "ok")
	}))
	defer server.Close()
	if err := run(server.URL+"/x?y", os.Getpid(), "2,3", 0, 0); err != nil {
		t.Fatal(err)
	}
	close(peers)
	served := map[string]int{}
	for p := range peers {
		served[p]++
	}
	if len(served) != 3 {
		t.Errorf("%d connections, expected 3", len(served))
	}
	for p, n := range served {
		if n != 2 {
			t.Errorf("%s was used %d times, expected 2", p, n)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	closing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	defer closing.Close()
	open := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer open.Close()
	for name, c := range map[string]struct {
		url, counts, want string
		limit             float64
	}{
		"no url":          {"", "1", "--url", 0},
		"no number":       {open.URL, "many", "--connections", 0},
		"too many":        {open.URL, "100000000", "open files", 0},
		"closes":          {closing.URL, "1", "keep-alive", 0},
		"over the limit":  {open.URL, "1", "expected at most", 0.001},
		"nobody listens":  {"http://127.0.0.1:1/", "1", "connection 1 of 1", 0},
		"wrong scheme":    {"https://127.0.0.1/", "1", "--url", 0},
		"wrong text: url": {"http://%", "1", "--url", 0},
	} {
		if err := run(c.url, os.Getpid(), c.counts, 0, c.limit); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
