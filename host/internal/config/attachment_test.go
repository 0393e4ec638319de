package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func TestAttachedServers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "outrigger.yaml")
	if err := os.WriteFile(path, []byte(`plugin_servers:
- name: one
  address: unix:///run/one.sock
  socket: {owner: plugins, group: 100, mode: 0660}
- name: several
  address: [tcp://10.0.0.1:9000, "tcp://10.0.0.2:9000"]
  tls: {cert: cert.pem, key: key.pem, ca: /etc/ca.pem, server_name: plugins.example}
  socket: {mode: "0o600"}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := LoadSettings(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	one, several := s.PluginServers[0], s.PluginServers[1]
	if !slices.Equal(one.Addresses, []string{"unix:///run/one.sock"}) || !slices.Equal(several.Addresses, []string{"tcp://10.0.0.1:9000", "tcp://10.0.0.2:9000"}) {
		t.Errorf("addresses %v and %v", one.Addresses, several.Addresses)
	}
	if want := (Attachment{SocketOwner: "plugins", SocketGroup: "100", SocketMode: 0o660}); !reflect.DeepEqual(one.Attachment, want) {
		t.Errorf("found %+v, want %+v", one.Attachment, want)
	}
	if want := (Attachment{
		TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem"), TLSCA: "/etc/ca.pem", TLSServerName: "plugins.example", SocketMode: 0o600,
	}); !reflect.DeepEqual(several.Attachment, want) {
		t.Errorf("found %+v, want %+v", several.Attachment, want)
	}
}
