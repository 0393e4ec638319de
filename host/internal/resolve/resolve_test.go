package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const patience = 30 * time.Second

// nameServer answers from records that a test may change, over UDP and TCP.
type nameServer struct {
	address string
	mu      sync.Mutex
	zone    map[string][]dns.RR // by name and type: "a.test. A"
	rcode   int                 // of all answers, when not 0
	simple  bool                // knows nothing of SRV
	deaf    bool                // does not even answer questions for SRV
	extra   []dns.RR
	asked   map[string]int
	silent  atomic.Bool
	short   atomic.Bool // answers over UDP say that they do not fit
}

func serve(t *testing.T, lines ...string) *nameServer {
	t.Helper()
	s := &nameServer{zone: map[string][]dns.RR{}, asked: map[string]int{}}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = udp.LocalAddr().String()
	tcp, err := net.Listen("tcp", s.address)
	if err != nil {
		udp.Close()
		t.Skipf("the port is taken for TCP: %v", err)
	}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	for _, server := range []*dns.Server{{PacketConn: udp, Handler: s}, {Listener: tcp, Handler: s}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		running.Go(func() { _ = server.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	s.set(t, lines...)
	return s
}

// set replaces all records.
func (s *nameServer) set(t *testing.T, lines ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone, s.rcode, s.extra = map[string][]dns.RR{}, 0, nil
	for _, line := range lines {
		text, extra := strings.CutPrefix(line, "extra ")
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		if extra {
			s.extra = append(s.extra, rr)
			continue
		}
		key := rr.Header().Name + " " + dns.TypeToString[rr.Header().Rrtype]
		s.zone[key] = append(s.zone[key], rr)
	}
}

func (s *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(q)
	name, kind := q.Question[0].Name, dns.TypeToString[q.Question[0].Qtype]
	s.asked[name+" "+kind]++
	if s.silent.Load() || kind == "SRV" && s.deaf {
		return
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp && s.short.Load() {
		m.Truncated = true
		_ = w.WriteMsg(m)
		return
	}
	m.Rcode = s.rcode
	if kind == "SRV" && s.simple {
		m.Rcode = dns.RcodeNotImplemented
		_ = w.WriteMsg(m)
		return
	}
	if alias := s.zone[name+" CNAME"]; len(alias) > 0 {
		m.Answer = append(m.Answer, alias...)
		name = alias[0].(*dns.CNAME).Target
	}
	m.Answer = append(m.Answer, s.zone[name+" "+kind]...)
	if kind == "SRV" {
		m.Extra = append(m.Extra, s.extra...)
	}
	if len(m.Answer) == 0 && m.Rcode == 0 {
		m.Rcode = dns.RcodeNameError
	}
	_ = w.WriteMsg(m)
}

func (s *nameServer) count(question string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[question]
}

func (s *nameServer) resolver(t *testing.T, o Options) *Resolver {
	t.Helper()
	o.Servers = []string{s.address}
	if o.HostsFile == "" {
		o.HostsFile = filepath.Join(t.TempDir(), "none")
	}
	r := New(o)
	r.client.udp.Timeout, r.client.tcp.Timeout = patience, patience
	return r
}

func lookup(t *testing.T, r *Resolver, name string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a, err := r.Lookup(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return texts(a)
}

func texts(a *Answer) []string {
	var list []string
	for _, r := range a.Records {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s:%d/%d %s", r.Addr, r.Port, r.Weight, r.Name)))
	}
	return list
}

func wantList(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAddresses(t *testing.T) {
	s := serve(t, "a.test. 60 IN A 10.0.0.2", "a.test. 60 IN A 10.0.0.1", "a.test. 60 IN AAAA ::1", "six.test. 60 IN AAAA ::2", "alias.test. 60 IN CNAME a.test.")
	r := s.resolver(t, Options{})
	wantList(t, lookup(t, r, "a.test"), "10.0.0.1:0/0", "10.0.0.2:0/0")
	wantList(t, lookup(t, r, "A.TEST"), "10.0.0.1:0/0", "10.0.0.2:0/0")
	wantList(t, lookup(t, r, "six.test"), "::2:0/0")
	wantList(t, lookup(t, r, "alias.test"), "10.0.0.1:0/0", "10.0.0.2:0/0")
	wantList(t, lookup(t, r, "10.1.1.1"), "10.1.1.1:0/0")
	wantList(t, lookup(t, r, "localhost"), "127.0.0.1:0/0")
	wantList(t, lookup(t, s.resolver(t, Options{Order: []string{"AAAA", "A"}}), "a.test"), "::1:0/0")
	wantList(t, lookup(t, s.resolver(t, Options{Order: []string{"AAAA"}}), "localhost"), "::1:0/0")
	if n := s.count("a.test. A"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if n := s.count("localhost. A"); n != 0 {
		t.Error("a name server was asked for localhost")
	}
}

// Records of the best priority count, with port and weight; weight 0 is 1. Addresses come along or are asked for.
func TestServiceRecords(t *testing.T) {
	s := serve(t,
		"_h._tcp.test. 60 IN SRV 10 5 8001 one.test.", "_h._tcp.test. 60 IN SRV 10 0 8002 two.test.", "_h._tcp.test. 60 IN SRV 20 9 8003 late.test.",
		"extra one.test. 60 IN A 10.0.0.1", "two.test. 60 IN A 10.0.0.2", "late.test. 60 IN A 10.0.0.3",
		"none.test. 60 IN SRV 0 0 0 .", "none.test. 60 IN A 10.0.0.9")
	r := s.resolver(t, Options{})
	wantList(t, lookup(t, r, "_h._tcp.test"), "10.0.0.1:8001/5 one.test", "10.0.0.2:8002/1 two.test")
	if s.count("one.test. A") != 0 || s.count("two.test. A") != 1 {
		t.Error("an address that came along was asked for, or another one was not")
	}
	wantList(t, lookup(t, r, "none.test"), "10.0.0.9:0/0") // there is no such service
	wantList(t, lookup(t, s.resolver(t, Options{Order: []string{"A", "SRV"}}), "none.test"), "10.0.0.9:0/0")
}

// A server that knows nothing of SRV takes no name away; one that knew of it and fails does not make the name another one.
func TestServerWithoutServiceRecords(t *testing.T) {
	s := serve(t, "a.test. 60 IN A 10.0.0.1", "_h.test. 60 IN SRV 1 1 80 a.test.", "_h.test. 60 IN A 10.0.0.9")
	r := s.resolver(t, Options{StaleTTL: time.Hour})
	wantList(t, lookup(t, r, "_h.test"), "10.0.0.1:80/1 a.test")
	s.mu.Lock()
	s.simple = true
	s.mu.Unlock()
	wantList(t, lookup(t, r, "a.test"), "10.0.0.1:0/0")
	expire(r, "_h.test")
	wantList(t, lookup(t, r, "_h.test"), "10.0.0.1:80/1 a.test")
	var e *net.DNSError
	if _, err := r.Lookup(context.Background(), "gone.test"); !errors.As(err, &e) || e.IsNotFound {
		t.Errorf("a name of which nothing is known: %v", err)
	}
}

// Questions for SRV that nobody answers leave time for addresses, also with a search list.
func TestServerThatDropsServiceRecords(t *testing.T) {
	t.Parallel() // it waits for half of its time; the other half is enough for two answers on a busy machine
	s := serve(t, "a.far.test. 60 IN A 10.0.0.1")
	s.mu.Lock()
	s.deaf = true
	s.mu.Unlock()
	c := newClient([]string{s.address}, &dns.ClientConfig{Ndots: 1, Search: []string{"near.test", "far.test"}, Timeout: 5, Attempts: 2})
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	f, err := c.find(ctx, "a", []uint16{dns.TypeSRV, dns.TypeA}, 0)
	if err != nil || len(f.records) != 1 || f.records[0].Addr != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("found %v, %v", f.records, err)
	}
	if n := s.count("a.far.test. SRV"); n != 0 {
		t.Errorf("%d questions for SRV after one without an answer", n)
	}
}

// LAST is the type that had records: the next time nothing else is asked for first.
func TestLastTypeFirst(t *testing.T) {
	s := serve(t, "a.test. 0 IN A 10.0.0.1")
	r := s.resolver(t, Options{})
	lookup(t, r, "a.test")
	expire(r, "a.test")
	lookup(t, r, "a.test")
	if srv, a := s.count("a.test. SRV"), s.count("a.test. A"); srv != 1 || a != 2 {
		t.Errorf("%d questions for SRV and %d for A, want 1 and 2", srv, a)
	}
}

// expire lets the time of a name run out.
func expire(r *Resolver, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[name].again = time.Time{}
}

// An answer is kept for its TTL, that of an alias included, and changes with the zone afterwards.
func TestTimeToLive(t *testing.T) {
	s := serve(t, "alias.test. 30 IN CNAME a.test.", "a.test. 600 IN A 10.0.0.1")
	r := s.resolver(t, Options{})
	ctx := context.Background()
	a, err := r.Lookup(ctx, "alias.test")
	if err != nil {
		t.Fatal(err)
	}
	if ttl := time.Until(a.Expires); ttl > 30*time.Second || ttl < 5*time.Second {
		t.Errorf("kept for %v", ttl)
	}
	s.set(t, "alias.test. 30 IN A 10.0.0.2")
	wantList(t, lookup(t, r, "alias.test"), "10.0.0.1:0/0")
	expire(r, "alias.test")
	wantList(t, lookup(t, r, "alias.test"), "10.0.0.2:0/0")
	fixed := s.resolver(t, Options{ValidTTL: time.Hour})
	if a, err = fixed.Lookup(ctx, "alias.test"); err != nil || time.Until(a.Expires) < 50*time.Minute {
		t.Errorf("dns_valid_ttl: %v, %v", a, err)
	}
}

func TestNameThatDoesNotExist(t *testing.T) {
	s := serve(t)
	r := s.resolver(t, Options{NotFoundTTL: time.Hour})
	for _, name := range []string{"gone.test", "gone.test", "no-such-host.invalid"} {
		_, err := r.Lookup(context.Background(), name)
		var e *net.DNSError
		if !errors.As(err, &e) || !e.IsNotFound || e.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := s.count("gone.test. A"); n != 1 {
		t.Errorf("asked %d times within dns_not_found_ttl", n)
	}
	s.set(t, "gone.test. 60 IN A 10.0.0.1")
	expire(r, "gone.test")
	wantList(t, lookup(t, r, "gone.test"), "10.0.0.1:0/0")
}

// A server that fails takes no name away: the last answer serves on, until that is too old.
func TestStaleAnswers(t *testing.T) {
	s := serve(t, "a.test. 60 IN A 10.0.0.1")
	r := s.resolver(t, Options{StaleTTL: time.Hour, ErrorTTL: time.Minute})
	lookup(t, r, "a.test")
	s.mu.Lock()
	s.rcode, s.zone = dns.RcodeServerFailure, map[string][]dns.RR{}
	s.mu.Unlock()
	expire(r, "a.test")
	wantList(t, lookup(t, r, "a.test"), "10.0.0.1:0/0")
	a, err := r.Lookup(context.Background(), "a.test")
	if err != nil || a.Failed == nil || !strings.Contains(a.Failed.Error(), "SERVFAIL") || time.Until(a.Serves) < 50*time.Minute {
		t.Errorf("%+v, %v: it is not told that the answer is an old one", a, err)
	}
	asked := s.count("a.test. A")
	wantList(t, lookup(t, r, "a.test"), "10.0.0.1:0/0")
	if s.count("a.test. A") != asked {
		t.Error("asked again within dns_error_ttl")
	}
	expire(r, "a.test")
	r.mu.Lock()
	r.names["a.test"].stale = time.Now()
	r.mu.Unlock()
	_, err = r.Lookup(context.Background(), "a.test")
	var e *net.DNSError
	if !errors.As(err, &e) || e.IsNotFound || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("error %v", err)
	}
}

// Whoever asks for a name at the same time shares one question, and does not wait longer than it wants.
func TestOneQuestionForAll(t *testing.T) {
	s := serve(t, "a.test. 60 IN A 10.0.0.1")
	s.silent.Store(true)
	r := s.resolver(t, Options{Order: []string{"A"}})
	r.client.udp.Timeout, r.client.attempts = 50*time.Millisecond, 1000
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := r.Lookup(ctx, "a.test")
	var e *net.DNSError
	if !errors.As(err, &e) || !e.IsTimeout {
		t.Errorf("error %v", err)
	}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			a, err := r.Lookup(context.Background(), "a.test")
			if err != nil || len(a.Records) != 1 {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
	s.silent.Store(false)
	all.Wait()
}

// An answer that does not fit into a datagram is asked for over TCP.
func TestTruncatedAnswers(t *testing.T) {
	var lines []string
	for i := range 200 {
		lines = append(lines, fmt.Sprintf("many.test. 60 IN A 10.0.1.%d", i))
	}
	s := serve(t, lines...)
	s.short.Store(true)
	if got := lookup(t, s.resolver(t, Options{Order: []string{"A"}}), "many.test"); len(got) != 200 {
		t.Errorf("%d addresses", len(got))
	}
}

// The next server is asked when one refuses.
func TestSeveralServers(t *testing.T) {
	bad, good := serve(t), serve(t, "a.test. 60 IN A 10.0.0.1")
	bad.mu.Lock()
	bad.rcode = dns.RcodeRefused
	bad.mu.Unlock()
	r := good.resolver(t, Options{})
	r.client.servers = []string{bad.address, good.address}
	wantList(t, lookup(t, r, "a.test"), "10.0.0.1:0/0")
}

// Names with few dots are asked for with the domains of the search list.
func TestSearchList(t *testing.T) {
	s := serve(t, "web.cluster.test. 60 IN A 10.0.0.1", "a.b. 60 IN A 10.0.0.2")
	r := s.resolver(t, Options{})
	r.client.search = &dns.ClientConfig{Search: []string{"other.test", "cluster.test"}, Ndots: 1}
	wantList(t, lookup(t, r, "web"), "10.0.0.1:0/0")
	wantList(t, lookup(t, r, "a.b"), "10.0.0.2:0/0")
	wantList(t, lookup(t, r, "web.cluster.test."), "10.0.0.1:0/0")
}

func TestHostsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write("# hosts\n10.0.0.7 Web web.test # both\n::7 web\nnonsense web\n10.0.0.8\n", time.Hour)
	s := serve(t, "web.test. 60 IN A 10.0.0.1", "other.test. 60 IN A 10.0.0.2")
	r := s.resolver(t, Options{HostsFile: file})
	wantList(t, lookup(t, r, "WEB"), "10.0.0.7:0/0")
	wantList(t, lookup(t, r, "web.test"), "10.0.0.7:0/0")
	wantList(t, lookup(t, r, "other.test"), "10.0.0.2:0/0")
	wantList(t, lookup(t, s.resolver(t, Options{HostsFile: file, Order: []string{"AAAA", "A"}}), "web"), "::7:0/0")
	write("10.0.0.9 web.test\n", 0)
	expire(r, "web.test")
	r.hosts.file.looked = time.Time{} // long ago
	wantList(t, lookup(t, r, "web.test"), "10.0.0.9:0/0")
	if s.count("web.test. A") != 0 {
		t.Error("a name server was asked for a name in the hosts file")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	expire(r, "web.test")
	r.hosts.file.looked = time.Time{}
	wantList(t, lookup(t, r, "web.test"), "10.0.0.9:0/0") // while another file takes its place
}

// What is kept is bounded: plugins may ask for any name.
func TestManyNames(t *testing.T) {
	r := serve(t).resolver(t, Options{})
	r.mu.Lock()
	for i := range mostNames {
		r.names[fmt.Sprint(i)] = &name{again: time.Now().Add(time.Hour)}
	}
	r.mu.Unlock()
	if _, err := r.Lookup(context.Background(), "one-more.invalid"); err == nil {
		t.Error("it exists")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.names); n > mostNames {
		t.Errorf("%d names are kept", n)
	}
}

func TestShuffled(t *testing.T) {
	a := &Answer{}
	for i := range 8 {
		a.Records = append(a.Records, Record{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})})
	}
	first := map[string]bool{}
	for range 500 {
		list := a.Shuffled()
		first[list[0].Addr.String()] = true
		if len(list) != 8 {
			t.Fatalf("%d records", len(list))
		}
	}
	if len(first) != 8 {
		t.Errorf("only %v ever came first", first)
	}
	a.Records[3].Weight = 28 // against seven of 1, for which 0 counts as well
	n := 0
	for range 2000 {
		if a.Shuffled()[0] == a.Records[3] {
			n++
		}
	}
	if n < 1400 || n > 1800 { // 1600
		t.Errorf("a record with four fifths of the weight came first %d times of 2000", n)
	}
}
