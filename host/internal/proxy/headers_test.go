package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/guard"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// endHere are the headers of a client that never pass, by the guide about headers.
var endHere = strings.Fields(`connection keep-alive proxy-connection proxy te trailer transfer-encoding expect upgrade content-length
	host via x-real-ip x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-path x-forwarded-proto x-forwarded-prefix x-kong-request-id`)

var whoCalls = strings.Fields("x-consumer-id x-consumer-username x-consumer-anything x-credential-identifier x-anonymous-consumer x-authenticated-userid x-authenticated-groups")

// Which headers are copied says a model that is slow and short. Heads that go upstream as bytes, heads in pieces, and heads that a plugin changed.
func TestCopiedHeadersByAModel(t *testing.T) {
	names := slices.Concat(endHere, whoCalls, []string{"accept", "cookie", "x-one", "x-two", "x-consumer", "x-authenticated", "proxy-authorization", "tea", "x-forwarded-port-x"})
	p := &Proxy{}
	rapid.Check(t, func(t *rapid.T) {
		p.opts = Options{IdentityHeaders: rapid.SampledFrom([]string{"", IdentityDrop, IdentityTrusted, IdentityKeep}).Draw(t, "identity"), HeadersUpstream: rapid.Bool().Draw(t, "id")}
		trusts, loose, changed := rapid.Bool().Draw(t, "trusted"), rapid.Bool().Draw(t, "loose"), rapid.Bool().Draw(t, "changed")
		var lines [][2]string
		nominated := map[string]bool{}
		for range rapid.IntRange(0, 12).Draw(t, "lines") {
			name, value := rapid.SampledFrom(names).Draw(t, "name"), rapid.StringMatching("[a-z0-9]{0,4}").Draw(t, "value")
			switch name {
			case "connection":
				value = rapid.SampledFrom([]string{"keep-alive", "x-one", "close, X-Two", "X-One ,cookie"}).Draw(t, "nominated")
				for token := range strings.SplitSeq(value, ",") {
					nominated[strings.ToLower(strings.TrimSpace(token))] = value != "keep-alive"
				}
			}
			lines = append(lines, [2]string{spelled(t, name), value})
		}
		r := &request{current: current{proxy: p, peer: peer{trusted: trusts}}}
		blanks := " "
		if loose {
			blanks = "\t "
		}
		r.head = headOf(lines, blanks)
		var set []string // by a plugin
		var want []string
		for _, l := range lines {
			name := strings.ReplaceAll(strings.ToLower(l[0]), "_", "-")
			kept := p.opts.IdentityHeaders == IdentityKeep || p.opts.IdentityHeaders == IdentityTrusted && trusts
			ends := slices.Contains(endHere, name) && (name != "x-kong-request-id" || p.opts.HeadersUpstream)
			if !ends && (kept || !slices.Contains(whoCalls, name)) && !nominated[strings.ToLower(l[0])] {
				want = append(want, l[0]+": "+l[1]+"\r\n")
			}
		}
		if changed {
			ex := &r.ex
			ex.Live = facts{r}
			ex.NeedRequest()
			if rapid.Bool().Draw(t, "sets") {
				set = []string{"X-Consumer-ID", "X-Set", "Keep-Alive"}
				ops := []wire.Op{}
				for _, name := range set {
					ops = append(ops, wire.Op{Code: pdk.OpServiceRequestAddHeader, Name: name, Values: []string{"set"}})
				}
				if err := ex.Apply(exchange.Applier{Phase: pdk.PhaseAccess}, ops); err != nil {
					t.Fatal(err)
				}
				want = append(want, "X-Consumer-ID: set\r\n", "X-Set: set\r\n")
			}
			ex.Dirty |= exchange.DirtyRequestHeaders
		}
		r.copyRequestHeaders()
		got := strings.TrimSuffix(string(r.out.Fields), "TE: trailers\r\n")
		if got != strings.Join(want, "") {
			t.Fatalf("%q of a trusted peer %t, %+v and %q of a plugin give\n%q, want\n%q", lines, trusts, p.opts.IdentityHeaders, set, got, want)
		}
	})
}

// headOf is a head of these lines; they are as they are to be sent when one blank stands behind the colons.
func headOf(lines [][2]string, blanks string) *head {
	h := &head{verbatim: blanks == " "}
	for _, l := range lines {
		h.lines = append(h.lines, guard.Field{Name: []byte(l[0]), Value: []byte(l[1])})
		h.raw = append(h.raw, l[0]+":"+blanks+l[1]+"\r\n"...)
	}
	h.raw = append(h.raw, "\r\n"...)
	return h
}

// facts loads the headers of a request as LoadRequest does.
type facts struct{ r *request }

func (f facts) LoadRequest(to *wire.Facts) {
	for _, l := range f.r.head.lines {
		if !f.r.forged(l.Name) {
			to.Request.Headers = append(to.Request.Headers, wire.Header{Name: string(l.Name), Value: string(l.Value)})
		}
	}
}
func (facts) LoadResponse(*wire.Facts)      {}
func (facts) RequestBody() ([]byte, error)  { return nil, nil }
func (facts) ResponseBody() ([]byte, error) { return nil, nil }
func (facts) UpstreamURI() string           { return "" }

// spelled is a name in another case, with underscores here and there.
func spelled(t *rapid.T, name string) string {
	switch rapid.IntRange(0, 3).Draw(t, "spelling") {
	case 1:
		return strings.ToUpper(name)
	case 2:
		return strings.ReplaceAll(name, "-", "_")
	case 3:
		return strings.Replace(strings.ToUpper(name[:1])+name[1:], "-", "_", 1)
	}
	return name
}

// The client's address, found by a model that writes all lines as one list and takes it apart again.
func FuzzFindClient(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "6.6.6.6, 1.2.3.4, 10.0.0.1", "6.6.6.6\n10.0.0.1 , ,\n", "[::1]:5\n10.0.0.1:6", "x, 10.0.0.1", "fe80::1%a", ",,\t", "::ffff:10.0.0.1\n::ffff:1.2.3.4"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, recursive bool) {
		prefixes := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		p := &Proxy{opts: Options{TrustedIPs: prefixes, RealIPRecursive: recursive}, realIPHeader: "x-forwarded-for"}
		self := netip.MustParseAddr("10.9.9.9")
		var lines [][2]string
		for line := range strings.SplitSeq(text, "\n") {
			lines = append(lines, [2]string{"X-Forwarded-For", line}, [2]string{"X-Other", "8.8.8.8"})
		}
		r := &request{current: current{proxy: p, peer: peer{addr: self, trusted: true}, head: headOf(lines, " ")}}
		got, _ := r.realIP()

		want := self
		entries := strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(", \t\n", c) })
		for _, entry := range slices.Backward(entries) {
			a, _, ok := parseAddr(entry)
			if !ok {
				break
			}
			want = a
			if !recursive || !prefixes[0].Contains(a) && !prefixes[1].Contains(a) {
				break
			}
		}
		if got != want || got.Zone() != "" {
			t.Fatalf("%q, recursive %t: %v, want %v", text, recursive, got, want)
		}
	})
}

func TestParseAddr(t *testing.T) {
	for text, want := range map[string]string{
		"1.2.3.4": "1.2.3.4 0", "1.2.3.4:80": "1.2.3.4 80", "::1": "::1 0", "[::1]": "::1 0", "[::1]:80": "::1 80", "::ffff:1.2.3.4": "1.2.3.4 0", "[::ffff:1.2.3.4]:1": "1.2.3.4 1",
		"": "", "a": "", "1.2.3": "", "1.2.3.4.5": "", "01.2.3.4": "", "1.2.3.4:": "", "1.2.3.4:65536": "", "[1.2.3.4]": "", "[::1": "", "::1]": "", "fe80::1%eth0": "", "[fe80::1%25x]:1": "",
		"1.2.3.4 ": "", "localhost": "", "0x7f.1": "", "[]": "", "]1.2.3.4[": "",
	} {
		a, port, ok := parseAddr(text)
		if got := fmt.Sprint(a, " ", port); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %s %t, want %q", text, got, ok, want)
		}
	}
}
