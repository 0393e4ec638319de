package resolve

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Name servers are read again when their file has changed: written anew, or another one with the same time and size. While it is away or empty, those of
// before are asked.
func TestNameServersOfTheSystem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	at := time.Now().Add(-time.Hour)
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	s := system{file: watched{path: file}}
	want := func(what string, servers ...string) {
		t.Helper()
		s.file.looked = time.Time{} // long ago
		if got := s.now().servers; !slices.Equal(got, servers) {
			t.Errorf("%s: %q, want %q", what, got, servers)
		}
	}
	want("no file", "127.0.0.1:53")
	write(file, "nameserver 10.0.0.1\noptions timeout:7 attempts:3\nsearch near.test\n")
	want("the first one", "10.0.0.1:53")
	if c := s.now(); c.udp.Timeout != 7*time.Second || c.attempts != 3 || !slices.Equal(c.search.Search, []string{"near.test"}) {
		t.Errorf("timeout %v, %d attempts, search list %q", c.udp.Timeout, c.attempts, c.search.Search)
	}
	before := s.now()
	want("the same", "10.0.0.1:53")
	if s.now() != before {
		t.Error("read again although it is the same")
	}
	at = at.Add(time.Minute)
	write(file, "nameserver 10.0.0.2\nnameserver 2001:db8::1\n")
	s.file.looked = time.Now().Add(time.Hour) // just now, however long this test takes
	if got := s.now(); got != before {
		t.Error("looked at within five seconds")
	}
	want("written anew", "10.0.0.2:53", "[2001:db8::1]:53")
	write(file+".new", "nameserver 10.0.0.3\nnameserver 2001:db8::1\n")
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	want("another file with the same time and size", "10.0.0.3:53", "[2001:db8::1]:53")
	write(file, "")
	want("an empty one", "10.0.0.3:53", "[2001:db8::1]:53")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want("none", "10.0.0.3:53", "[2001:db8::1]:53")
}

// A resolver goes on to the name servers that the system says now.
func TestNameServersMove(t *testing.T) {
	one, two := serve(t, "a.test. 60 IN A 10.0.0.1"), serve(t, "a.test. 60 IN A 10.0.0.2")
	r := New(Options{HostsFile: filepath.Join(t.TempDir(), "none")})
	for _, s := range []*nameServer{one, two} {
		host, port, err := net.SplitHostPort(s.address)
		if err != nil {
			t.Fatal(err)
		}
		settings := unsaid()
		settings.Servers, settings.Port = []string{host}, port
		r.system.client, r.system.file = systemClient(settings), watched{path: filepath.Join(t.TempDir(), "none")}
		want := map[*nameServer]string{one: "10.0.0.1:0/0", two: "10.0.0.2:0/0"}[s]
		wantList(t, lookup(t, r, "a.test"), want)
		expire(r, "a.test")
	}
}
