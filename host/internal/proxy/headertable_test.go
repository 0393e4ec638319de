package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/plugins/keyauth"
)

// headerTable is a file of testdata/headers: what a client sends, what the upstream gets and answers, and what the client gets.
type headerTable struct {
	Settings map[string]string `yaml:"settings"` // of all cases
	Config   string            `yaml:"config"`
	Cases    []headerCase      `yaml:"cases"`
}

// headerCase is a case. Lines of Upstream and Client are
//
//	Name: value    the message has this header, with all values that the case lists, in this order, and no other
//	~Name          it has this header, whatever the value
//	!Name          it has not
//	other          its first line
//
// $ID stands for the request id, $PORT for the port of the gateway, $UPSTREAM for host and port of the upstream, \r and \n for themselves.
type headerCase struct {
	Name     string            `yaml:"name"`
	Settings map[string]string `yaml:"settings"`
	Request  string            `yaml:"request"` // lines; an empty one ends the head
	Rewrite  [][]string        `yaml:"rewrite"` // what a plugin does in the phases, see deeds
	Access   [][]string        `yaml:"access"`
	Filter   [][]string        `yaml:"filter"`
	Answer   string            `yaml:"answer"`   // of the upstream
	Upstream []string          `yaml:"upstream"` // [none]: it is not asked
	Client   []string          `yaml:"client"`
	Body     *string           `yaml:"body"`
	Log      string            `yaml:"log"` // a part of what the gateway logs
}

const plainAnswer = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"

// TestHeaderTables runs the tables through a gateway over real connections.
func TestHeaderTables(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "headers", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var table headerTable
		d := yaml.NewDecoder(strings.NewReader(string(data)))
		d.KnownFields(true)
		if err := d.Decode(&table); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		n += len(table.Cases)
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			b := &headerBench{t: t, table: &table, gateways: map[string]*gateway{}, upstream: listenUpstream(t)}
			for i := range table.Cases {
				t.Run(table.Cases[i].Name, func(t *testing.T) { b.run(t, &table.Cases[i]) })
			}
		})
	}
	if n < 100 {
		t.Errorf("%d cases, expected at least 100", n)
	}
}

// headerBench runs the cases of a table, with a gateway for each combination of settings.
type headerBench struct {
	t        *testing.T
	table    *headerTable
	gateways map[string]*gateway
	upstream *rawUpstream
	doer     doer
}

func (b *headerBench) run(t *testing.T, c *headerCase) {
	g := b.gateway(c)
	b.doer.is(c)
	answer := plainAnswer
	if c.Answer != "" {
		answer = c.Answer
	}
	b.upstream.answers(wireText(answer))
	before := len(g.logs.String())
	client := exchanged(t, g.addr, wireText(c.Request))
	asked := b.upstream.last()
	replace := strings.NewReplacer("$ID", b.requestID(client, asked), "$PORT", portText(g.addr), "$UPSTREAM", b.upstream.addr)
	if slices.Equal(c.Upstream, []string{"none"}) {
		if asked != nil {
			t.Errorf("the upstream was asked:\n%s", asked)
		}
	} else {
		if len(c.Upstream) > 0 && asked == nil {
			t.Error("the upstream was not asked")
		}
		asked.check(t, "upstream", c.Upstream, replace)
	}
	client.check(t, "client", c.Client, replace)
	if c.Body != nil {
		if want := replace.Replace(*c.Body); client.body != want {
			t.Errorf("the body is\n%q, want\n%q", client.body, want)
		}
	}
	if logged := g.logs.String()[before:]; !strings.Contains(logged, c.Log) {
		t.Errorf("the log does not say %q:\n%s", c.Log, logged)
	}
	if t.Failed() {
		t.Logf("the upstream got\n%s\nthe client got\n%s", asked, client)
	}
}

// gateway is one with the settings of a case.
func (b *headerBench) gateway(c *headerCase) *gateway {
	flags := map[string]string{}
	for name, value := range b.table.Settings {
		flags[name] = value
	}
	for name, value := range c.Settings {
		flags[name] = value
	}
	key := fmt.Sprint(flags)
	if g := b.gateways[key]; g != nil {
		return g
	}
	s, err := config.LoadSettings("", nil, flags)
	if err != nil {
		b.t.Fatal(err)
	}
	g := start(b.t, echo, strings.ReplaceAll(b.table.Config, "UPSTREAM", b.upstream.addr), []pdk.Plugin{plugin("do", 1, &b.doer), keyauth.Plugin}, func(o *Options) {
		o.TrustedIPs, o.RealIPHeader, o.RealIPRecursive, o.IdentityHeaders = s.TrustedIPs, s.RealIPHeader, s.RealIPRecursive, s.IdentityHeaders
		h := s.Headers
		o.Headers = HeaderTokens{
			Via: h.Via, Server: h.Server, UpstreamLatency: h.UpstreamLatency, ProxyLatency: h.ProxyLatency,
			ResponseLatency: h.ResponseLatency, RequestID: h.RequestID, UpstreamStatus: h.UpstreamStatus,
		}
		o.HeadersUpstream, o.ErrorDefaultType = s.UpstreamRequestID, s.ErrorDefaultType
		e := s.ErrorTemplates
		o.ErrorTemplates = ErrorTemplates{local.ErrorHTML: e.HTML.Text, local.ErrorJSON: e.JSON.Text, local.ErrorPlain: e.Plain.Text, local.ErrorXML: e.XML.Text}
		o.MaxRequestBody, o.DebugHeader = s.ClientMaxBodySize, s.AllowDebugHeader
	})
	b.gateways[key] = g
	return g
}

// requestID is the id of the exchange as it was told; all who are told must hear the same.
func (b *headerBench) requestID(client, upstream *message) string {
	for _, m := range []*message{client, upstream} {
		if ids := m.values("X-Kong-Request-Id"); len(ids) == 1 && requestIDForm.MatchString(ids[0]) {
			return ids[0]
		}
	}
	return "no id was told"
}

var requestIDForm = regexp.MustCompile("^[0-9a-f]{32}$")

// wireText is a message with the line ends of the wire. The body, behind the first empty line, stays as it is.
func wireText(text string) string {
	head, body, _ := strings.Cut(text, "\n\n")
	head = strings.ReplaceAll(strings.TrimSuffix(head, "\n"), "\n", "\r\n") + "\r\n\r\n"
	return strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(head) + strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(body)
}

func portText(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// message is a request or a response as it came.
type message struct {
	first string
	lines []string
	body  string
}

func (m *message) String() string {
	if m == nil {
		return "nothing"
	}
	return m.first + "\n" + strings.Join(m.lines, "\n") + "\n\n" + m.body
}

// values are the values of a header.
func (m *message) values(name string) []string {
	var list []string
	if m == nil {
		return nil
	}
	for _, line := range m.lines {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			list = append(list, strings.TrimSpace(v))
		}
	}
	return list
}

// check compares a message with the lines of a case.
func (m *message) check(t *testing.T, who string, lines []string, replace *strings.Replacer) {
	t.Helper()
	want := map[string][]string{}
	for _, line := range lines {
		line = replace.Replace(line)
		name, value, header := strings.Cut(line, ": ")
		switch {
		case line[0] == '!':
			if got := m.values(line[1:]); len(got) > 0 {
				t.Errorf("%s: found %s %q, expected none", who, line[1:], got)
			}
		case line[0] == '~':
			if got := m.values(line[1:]); len(got) != 1 {
				t.Errorf("%s: found %s %q, expected one", who, line[1:], got)
			}
		case header:
			want[name] = append(want[name], value)
		case strings.HasSuffix(line, ":"):
			want[line[:len(line)-1]] = append(want[line[:len(line)-1]], "")
		case m == nil || m.first != line:
			t.Errorf("%s: found %q, expected %q", who, m, line)
		}
	}
	for name, values := range want {
		if got := m.values(name); !slices.Equal(got, values) {
			t.Errorf("%s: found %s %q, expected %q", who, name, got, values)
		}
	}
}

// readMessage reads a message with its body. bodyless: it is the answer to a HEAD.
func readMessage(br *bufio.Reader, bodyless bool) (*message, error) {
	m := &message{}
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case m.first == "":
			m.first = line
			continue
		case line != "":
			m.lines = append(m.lines, line)
			continue
		}
		break
	}
	status, response := 0, strings.HasPrefix(m.first, "HTTP/")
	if response {
		if status, _ = strconv.Atoi(m.first[9:12]); status == 204 || status == 304 || bodyless {
			return m, nil
		}
	}
	if slices.Contains(m.values("Transfer-Encoding"), "chunked") {
		return m, m.readChunks(br)
	}
	size := strings.Join(m.values("Content-Length"), "")
	if size == "" {
		if !response {
			return m, nil
		}
		rest, err := io.ReadAll(br)
		m.body = string(rest)
		return m, err
	}
	n, err := strconv.Atoi(size)
	if err != nil {
		return nil, err
	}
	body := make([]byte, n)
	_, err = io.ReadFull(br, body)
	m.body = string(body)
	return m, err
}

func (m *message) readChunks(br *bufio.Reader) error {
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(line), 16, 32)
		if err != nil {
			return err
		}
		if n == 0 {
			return readTrailers(br)
		}
		piece := make([]byte, n+2)
		if _, err := io.ReadFull(br, piece); err != nil {
			return err
		}
		m.body += string(piece[:n])
	}
}

func readTrailers(br *bufio.Reader) error {
	for {
		line, err := br.ReadString('\n')
		if err != nil || strings.TrimRight(line, "\r\n") == "" {
			return err
		}
	}
}

// exchanged sends a request and reads its answer.
func exchanged(t *testing.T, addr, request string) *message {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	m, err := readMessage(bufio.NewReader(c), strings.HasPrefix(request, "HEAD "))
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return m
}

// rawUpstream notes what it gets and answers with what it is told.
type rawUpstream struct {
	addr string

	mu     sync.Mutex
	answer string
	seen   *message
}

func listenUpstream(t *testing.T) *rawUpstream {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &rawUpstream{addr: ln.Addr().String()}
	var conns sync.WaitGroup
	open := make(chan net.Conn, 100)
	t.Cleanup(func() {
		ln.Close()
		for {
			select {
			case c := <-open:
				c.Close()
				continue
			default:
			}
			break
		}
		conns.Wait()
	})
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			open <- c
			conns.Go(func() { u.serve(c) })
		}
	})
	return u
}

func (u *rawUpstream) serve(c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		m, err := readMessage(br, false)
		if err != nil {
			return
		}
		u.mu.Lock()
		u.seen = m
		answer := u.answer
		u.mu.Unlock()
		if _, err := io.WriteString(c, answer); err != nil || !strings.Contains(answer, "Content-Length") && !strings.Contains(answer, "chunked") {
			return
		}
	}
}

// answers says what the next requests are answered with.
func (u *rawUpstream) answers(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer, u.seen = text, nil
}

// last is the last request since answers; nil: there was none.
func (u *rawUpstream) last() *message {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen
}

// doer is a plugin that does what the case says. A deed is a list of words:
//
//	set NAME VALUE..., add NAME VALUE..., clear NAME   of the request to the service; in the filter, of the response
//	answer-set NAME VALUE...                           of the response, before there is one
//	status N, path TEXT, query TEXT
//	exit N BODY [NAME VALUE]..., error N MESSAGE [NAME VALUE]...; MESSAGE - stands for none
//	need NAME VALUE                                    fails when the plugin does not see this header; VALUE - : when it sees one
//	need-ip ADDRESS                                    fails when the client's address is another one
type doer struct {
	mu                      sync.Mutex
	rewrite, access, filter [][]string
}

func (d *doer) is(c *headerCase) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rewrite, d.access, d.filter = c.Rewrite, c.Access, c.Filter
}

func (d *doer) of(list *[][]string) [][]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return *list
}

func (d *doer) Rewrite(k *pdk.PDK) error { return doAll(k, d.of(&d.rewrite), false) }

func (d *doer) Access(k *pdk.PDK) error { return doAll(k, d.of(&d.access), false) }

func (d *doer) HeaderFilter(k *pdk.PDK) error { return doAll(k, d.of(&d.filter), true) }

func doAll(k *pdk.PDK, deeds [][]string, filter bool) error {
	for _, words := range deeds {
		if err := do(k, words, filter); err != nil {
			return err
		}
	}
	return nil
}

func do(k *pdk.PDK, words []string, filter bool) error {
	var name string
	if len(words) > 1 {
		name = words[1]
	}
	switch words[0] {
	case "set", "add", "clear":
		return change(k, words[0], name, words[2:], filter)
	case "answer-set":
		return k.Response.SetHeader(name, words[2:]...)
	case "path":
		return k.ServiceRequest.SetPath(name)
	case "query":
		return k.ServiceRequest.SetRawQuery(name)
	case "need":
		got, ok := k.Request.GetHeader(name)
		if ok == (words[2] == "-") || ok && got != words[2] {
			return fmt.Errorf("the plugin sees %s %q %t", name, got, ok)
		}
		return nil
	case "need-ip":
		if got := k.Client.GetForwardedIP(); got != name {
			return fmt.Errorf("the plugin sees the address %s", got)
		}
		return nil
	}
	status, err := strconv.Atoi(name)
	if err != nil {
		return err
	}
	headers := map[string][]string{}
	for i := 3; i+1 < len(words); i += 2 {
		headers[words[i]] = append(headers[words[i]], words[i+1])
	}
	switch words[0] {
	case "status":
		return k.Response.SetStatus(status)
	case "exit":
		return k.Response.Exit(status, words[2], headers)
	case "error":
		message := words[2]
		if message == "-" {
			message = ""
		}
		return k.Response.Error(status, message, headers)
	}
	return fmt.Errorf("found %q, expected a deed", words)
}

func change(k *pdk.PDK, what, name string, values []string, filter bool) error {
	switch {
	case what == "set" && filter:
		return k.Response.SetHeader(name, values...)
	case what == "add" && filter:
		return k.Response.AddHeader(name, values...)
	case what == "clear" && filter:
		return k.Response.ClearHeader(name)
	case what == "set":
		return k.ServiceRequest.SetHeader(name, values...)
	case what == "add":
		return k.ServiceRequest.AddHeader(name, values...)
	}
	return k.ServiceRequest.ClearHeader(name)
}
