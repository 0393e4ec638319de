package config

import (
	"slices"
	"strings"
	"testing"
)

// The option proxy_protocol of an address is kept apart from it, and shown with it.
func TestProxyProtocolListeners(t *testing.T) {
	s, err := LoadSettings("", []string{"OUTRIGGER_PROXY_LISTEN=127.0.0.1:1, 127.0.0.1:2 proxy_protocol", "OUTRIGGER_REAL_IP_HEADER=proxy_protocol"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.ProxyListen, []string{"127.0.0.1:1", "127.0.0.1:2"}) || !slices.Equal(s.ProxyProtocolListen, []string{"127.0.0.1:2"}) || s.RealIPHeader != "proxy_protocol" {
		t.Errorf("%v %v %s", s.ProxyListen, s.ProxyProtocolListen, s.RealIPHeader)
	}
	if shown := s.Map()["proxy_listen"].([]any); !slices.Equal(shown, []any{"127.0.0.1:1", "127.0.0.1:2 proxy_protocol"}) {
		t.Errorf("%v", shown)
	}
}

// An address cannot be with the option and without it.
func TestProxyProtocolAndNot(t *testing.T) {
	_, err := LoadSettings("", []string{"OUTRIGGER_PROXY_LISTEN=127.0.0.1:1, 127.0.0.1:1 proxy_protocol"}, nil)
	if err == nil || !strings.Contains(err.Error(), "each address once") {
		t.Errorf("found the error %v, expected one that says each address once", err)
	}
	if _, err := LoadSettings("", []string{"OUTRIGGER_PROXY_LISTEN=127.0.0.1:1, 127.0.0.1:1"}, nil); err != nil {
		t.Errorf("the same address twice: %v", err)
	}
}
