package config

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

// TestPasswordsAreNotKept looks for a password wherever a set or an error could show it.
func TestPasswordsAreNotKept(t *testing.T) {
	const password = "correct horse battery"
	set := mustParse(t, `
_format_version: "3.0"
consumers:
- username: ann
  basicauth_credentials: [{username: ann, password: `+password+`}]
`)
	c := set.BasicAuths[0]
	sum := sha1.Sum([]byte(password + set.Consumers[0].ID))
	if want := hex.EncodeToString(sum[:]); c.Password != want {
		t.Errorf("the password is stored as %s, want %s", c.Password, want)
	}
	if text, err := json.Marshal([]any{set.BasicAuths, set.Consumers}); err != nil || strings.Contains(string(text), password) {
		t.Errorf("the set shows the password: %s %v", text, err)
	}
	for _, wrong := range []string{
		"[{username: ann, password: " + password + "}, {username: ann, password: " + password + "}]",
		"[{username: 'a:b', password: " + password + "}]",
		"[{password: " + password + "}]",
		"[{username: ann, password: [" + password + "]}]",
		"[{username: ann, password: {" + password + ": 1}}]",
		"[{username: ann, password: " + password + ", consumer: bob}]",
		"[{username: ann, password: " + password + ", more: 1}]",
	} {
		_, err := Parse("gateway.yaml", []byte("_format_version: '3.0'\nconsumers: [{username: ann, basicauth_credentials: "+wrong+"}]"))
		if err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: error %v", wrong, err)
		}
	}
	_, err := Parse("gateway.yaml", []byte("_format_version: '3.0'\n_transform: false\nconsumers: [{username: ann, basicauth_credentials: [{username: ann, password: "+password+"}]}]"))
	if err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("not hashed: error %v", err)
	}
}
