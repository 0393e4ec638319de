package generation

import (
	"errors"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// telling refuses every configuration and says what it found.
type telling struct {
	Password string `json:"password"`
	Panics   bool   `json:"panics"`
}

func (p *telling) Configure() error {
	if p.Panics {
		panic("found " + p.Password)
	}
	return errors.New("found " + p.Password)
}

func (*telling) Access(*pdk.PDK) error { return nil }

// A plugin that says what it was given in its refusal does not bring secrets into errors.
func TestRefusalsShowNoSecrets(t *testing.T) {
	for name, config := range map[string]map[string]any{
		"error": {"password": "{vault://env/p}"}, "panic": {"password": "{vault://env/p}", "panics": true},
	} {
		b := newTestBuilder(t, &fakeServers{}, pdk.Plugin{Name: "telling", Version: "1", Priority: 1, New: func() any { return new(telling) }})
		resolved := map[string]any{"password": "s3cret"}
		if v, ok := config["panics"]; ok {
			resolved["panics"] = v
		}
		set := &entity.Set{Plugins: []*entity.Plugin{{
			ID: "1", Name: "telling", Enabled: true, Config: config, Resolved: resolved, Secrets: []string{"s3cret"}, Path: "plugins[0]",
		}}}
		catalog, err := b.Catalog(set)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Build(t.Context(), set, catalog)
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "found ***") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a reference leads to is a part of the instance: another secret makes another one, the same secret does not.
func TestSecretsMakeInstances(t *testing.T) {
	s := &fakeServers{manifests: []entity.Manifest{manifest("a", false)}}
	b := newTestBuilder(t, s)
	var h Holder
	id := func(secret string) uint64 {
		t.Helper()
		set := &entity.Set{Plugins: []*entity.Plugin{{ID: "1", Name: "a", Enabled: true, Config: map[string]any{"v": "{vault://env/p}"}, Resolved: map[string]any{"v": secret}}}}
		catalog, err := b.Catalog(set)
		if err != nil {
			t.Fatal(err)
		}
		g, err := b.Build(t.Context(), set, catalog)
		if err != nil {
			t.Fatal(err)
		}
		h.Swap(g)
		return g.Plans.ForRoute(nil, false).Steps()[0].Instance.ID
	}
	first, same, other := id("one"), id("one"), id("two")
	if first != same || same == other {
		t.Errorf("instances %d, %d, %d", first, same, other)
	}
	h.Swap(nil)
}

// However a plugin server refuses, the generation is not built without the plugin.
func TestRefusalWithoutFaults(t *testing.T) {
	err := placed(&entity.Plugin{Name: "a"}, &RefusedError{By: `plugin "a" on plugin server "s"`})
	if err == nil || !strings.Contains(err.Error(), "refuses the configuration") {
		t.Errorf("found %v", err)
	}
}
