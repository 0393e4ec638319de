package config

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Attachment is how the host reaches an attached plugin server safely.
type Attachment struct {
	TLSCert, TLSKey, TLSCA string // files, for a server on another machine
	TLSServerName          string // that its certificate has; "": the host of the address

	// What its unix sockets have to be like.
	SocketOwner, SocketGroup string      // name or number; "": any
	SocketMode               fs.FileMode // permissions that a socket may have at most; 0: not given
}

// readAddresses reads one address, or a list.
func readAddresses(r *settingReader, s *PluginServer, v *node, at *path) {
	items := v.items
	if v.kind == kindText {
		items = []*node{v}
	} else if v.kind != kindList {
		r.wrongType(at, v, "an address, or a list of addresses")
		return
	}
	s.Addresses = nil
	for i, item := range items {
		text := r.textOf(item, itemAt(at, i), "", serverAddress)
		if text != "" && slices.Contains(s.Addresses, text) {
			r.fail(itemAt(at, i), item, Error{Code: CodeNotUnique, Found: quote(text) + " again", Expected: "each address once", Fix: "remove it"})
			continue
		}
		s.Addresses = append(s.Addresses, text)
	}
	if len(items) == 0 {
		r.fail(at, v, Error{Code: CodeWrongValue, Found: "an empty list", Expected: "at least one address"})
	}
}

// readSocket reads what is expected of unix sockets.
func readSocket(r *settingReader, s *PluginServer, v *node, at *path) {
	o := r.object(v, at, "socket")
	if o == nil {
		return
	}
	for i, to := range []*string{&s.SocketOwner, &s.SocketGroup} {
		key := []string{"owner", "group"}[i]
		if n := o.has(key); n != nil {
			*to, _ = r.scalar(n, at.key(key), "a name or a number")
		}
	}
	if n := o.has("mode"); n != nil {
		text, ok := r.scalar(n, at.key("mode"), "permissions")
		bits, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
		if ok && (err != nil || bits == 0 || bits > 0o777) {
			r.fail(at.key("mode"), n, Error{Code: CodeWrongValue, Found: quote(text), Expected: `permissions as octal digits, such as "0660"`})
		}
		s.SocketMode = fs.FileMode(bits)
	}
	o.done()
}

func readServerTLS(r *settingReader, s *PluginServer, v *node, at *path) {
	o := r.object(v, at, "tls")
	if o == nil {
		return
	}
	files := []*string{&s.TLSCert, &s.TLSKey, &s.TLSCA}
	for i, key := range []string{"cert", "key", "ca"} {
		if *files[i] = r.path(o.text(key)); !slices.ContainsFunc(v.pairs, func(p pair) bool { return p.key == key }) {
			o.missing(key, "the files cert, key and ca")
		}
	}
	s.TLSServerName = o.text("server_name")
	o.done()
}

// checkTLS wants mutual TLS for a server on another machine.
func (r *settingReader) checkTLS(o *object, s *PluginServer) {
	for _, text := range s.Addresses {
		rest, tcp := strings.CutPrefix(text, "tcp://")
		host, _, _ := net.SplitHostPort(rest)
		addr, err := netip.ParseAddr(host)
		if !tcp || host == "localhost" || err == nil && addr.IsLoopback() || s.TLSCert != "" {
			continue
		}
		o.fail(o.at.key("address"), o.n.get("address"), Error{
			Code: CodeConflict, Found: quote(text) + " without tls", Expected: "mutual TLS for an address off this machine",
			Fix: "add tls with cert, key and ca",
		})
		return
	}
}

// maxSocketPath is what the system allows for the path of a unix socket.
const maxSocketPath = 107

func serverAddress(s string) *problem {
	const expected = "unix:///absolute/path or tcp://host:port"
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case ok && scheme == "unix":
		if !filepath.IsAbs(rest) {
			return &problem{expected: expected}
		}
		if len(rest) > maxSocketPath {
			return &problem{expected: fmt.Sprintf("a socket path of at most %d bytes", maxSocketPath)}
		}
	case ok && scheme == "tcp":
		if host, port, err := net.SplitHostPort(rest); err != nil || host == "" || !validPort(port) || port == "0" {
			return &problem{expected: expected}
		}
	default:
		p := &problem{expected: expected}
		if filepath.IsAbs(s) {
			p.fix = "write unix://" + s
		} else if _, port, err := net.SplitHostPort(s); err == nil && validPort(port) {
			p.fix = "write tcp://" + s
		}
		return p
	}
	return nil
}
