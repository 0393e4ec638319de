package entity

import "testing"

func TestScope(t *testing.T) {
	s, r := &Service{ID: "1", Name: "orders"}, &Route{ID: "2"}
	for want, p := range map[string]*Plugin{
		"global":                         {},
		"service orders":                 {Service: s},
		"route 2, service orders":        {Service: s, Route: r},
		"consumer ann":                   {Consumer: &Consumer{ID: "3", Username: "ann"}},
		"route 2, consumer_group golden": {Route: r, ConsumerGroup: &ConsumerGroup{Name: "golden"}},
	} {
		if got := p.Scope(); got != want {
			t.Errorf("scope %q, want %q", got, want)
		}
	}
	if ids := (&Plugin{Service: s, Route: r}).ScopeIDs(); ids != [4]string{"2", "1"} {
		t.Errorf("ids %q", ids)
	}
}

func TestTextForms(t *testing.T) {
	if got := (Pos{File: "g.yaml", Line: 3, Col: 7}).String(); got != "g.yaml:3:7" {
		t.Errorf("position %q", got)
	}
	if got := (Pos{File: "g.yaml"}).String(); got != "g.yaml" {
		t.Errorf("position %q", got)
	}
	if got := (&Manifest{Server: "py"}).Origin(); got != `plugin server "py"` {
		t.Errorf("origin %q", got)
	}
	if got := (&Manifest{}).Origin(); got != "built in" {
		t.Errorf("origin %q", got)
	}
}

// A short secret is a word: replaced inside of others it would spoil the text, and show what it is.
func TestRedactShortSecrets(t *testing.T) {
	p := &Plugin{Secrets: []string{"u", "", "-p", "long"}}
	for text, want := range map[string]string{
		`found "redis", which is not supported: user u, "u", u.`:  `found "redis", which is not supported: user ***, "***", ***.`,
		"u:x-p and along, but no up, no üu and no uü; again -p u": "***:x*** and a***, but no up, no üu and no uü; again *** ***",
		"":  "",
		"u": "***",
	} {
		if got := p.Redact(text); got != want {
			t.Errorf("%q: found %q, expected %q", text, got, want)
		}
	}
}
