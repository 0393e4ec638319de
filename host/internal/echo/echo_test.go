package echo

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestAnswersWithTheRequest(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New()
	s.Serve(ln)
	defer func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequest("PUT", "http://"+ln.Addr().String()+"/a?b=1", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-One", "1")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"method": "PUT"`, `"uri": "/a?b=1"`, `"x-one"`, `"body": "body"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is missing in %s", want, b)
		}
	}
}

// A shutdown right behind Serve finds a server that does not accept yet; it must end all the same.
func TestShutdownRightAfterServe(t *testing.T) {
	for range 200 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := New()
		s.Serve(ln)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
