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
