package generation

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// TestCredentials finds what plugins ask for with client.load_credential.
func TestCredentials(t *testing.T) {
	const ann = "11111111-2222-4333-8444-555555555555"
	set, err := config.Parse("gateway.yaml", []byte(`
_format_version: "3.0"
consumers:
- username: ann
  id: `+ann+`
  keyauth_credentials: [{key: k}, {key: old, ttl: 1, created_at: 1}]
  basicauth_credentials: [{username: "zoë", password: open}]
  acls: [{group: silver}, {group: gold}]
  hmacauth_credentials: [{username: h, secret: s1}]
  jwt_secrets: [{key: issuer, secret: s2, algorithm: HS512}]
  oauth2_credentials: [{name: app, client_id: c, client_secret: s3, redirect_uris: ["https://app.example/"]}]
- username: bob
  id: 22222222-2222-4333-8444-555555555555
`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := newTestBuilder(t, &fakeServers{}).Build(context.Background(), set, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	for _, c := range []struct {
		kind, key string
		want      map[string]any // fields of the credential; nil: there is none
	}{
		{"keyauth_credentials", "k", map[string]any{"key": "k"}},
		{"keyauth_credentials", "old", nil},
		{"keyauth_credentials", "other", nil},
		{"basicauth_credentials", "zoë", map[string]any{"username": "zoë", "password": "457c894bc777b77a2d67763269020c6775d840e9"}},
		{"basicauth_credentials", "ann", nil},
		{"acls", ann, map[string]any{"groups": []any{"gold", "silver"}}},
		{"acls", "22222222-2222-4333-8444-555555555555", nil},
		{"hmacauth_credentials", "h", map[string]any{"username": "h", "secret": "s1"}},
		{"hmacauth_credentials", "issuer", nil},
		{"jwt_secrets", "issuer", map[string]any{"key": "issuer", "secret": "s2", "algorithm": "HS512"}},
		{"oauth2_credentials", "c", map[string]any{"client_id": "c", "client_secret": "s3", "redirect_uris": []any{"https://app.example/"}}},
	} {
		doc, err := g.Credential(c.kind, c.key)
		if err != nil || (doc == nil) != (c.want == nil) {
			t.Errorf("%s %s: %v, error %v", c.kind, c.key, doc, err)
			continue
		}
		if doc == nil {
			continue
		}
		got := doc.Value.(*pdk.Credential)
		if got.ConsumerID != ann || got.ID == "" || !reflect.DeepEqual(got.Fields["consumer"], map[string]any{"id": ann}) {
			t.Errorf("%s %s: %+v", c.kind, c.key, got)
		}
		for name, want := range c.want {
			if !reflect.DeepEqual(got.Fields[name], want) {
				t.Errorf("%s %s: %s is %v, want %v", c.kind, c.key, name, got.Fields[name], want)
			}
		}
	}
	if _, err := g.Credential("tokens", "k"); err == nil || !strings.Contains(err.Error(), `"tokens"`) || !strings.Contains(err.Error(), "acls") {
		t.Errorf("error %v", err)
	}
}
