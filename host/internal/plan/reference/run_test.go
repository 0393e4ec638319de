package reference_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/plan/reference"
)

// subject is an implementation under test.
type subject interface {
	// load gives the cycle for which the configuration is refused, or nil.
	load() *cycle
	run(req reference.Request) reference.Outcome
}

// ref is the reference as a subject.
type ref struct{ w *reference.World }

func (s ref) load() *cycle {
	for _, c := range s.w.Cycles() {
		return &cycle{c.Route, c.Consumer, c.Phase, c.Labels}
	}
	return nil
}

func (s ref) run(req reference.Request) reference.Outcome { return s.w.Run(req) }

var subjects = map[string]func(*reference.World) subject{
	"reference": func(w *reference.World) subject { return ref{w} },
	"plan":      func(w *reference.World) subject { return compile(w) },
}

// TestVectors holds the reference and package plan to what a person worked out from the specification.
func TestVectors(t *testing.T) {
	base, files := loadVectors(t)
	count := 0
	for file, f := range files {
		for i := range f.Vectors {
			v := &f.Vectors[i]
			w, err := v.model(base)
			if err != nil {
				t.Errorf("%s: %s: %v", file, v.Name, err)
				continue
			}
			if v.Name == "" || v.Spec == "" || (v.Cycle == nil) == (len(v.Cases) == 0) {
				t.Errorf("%s: vector %d %q needs a name, a place in the specification, and either a cycle or cases", file, i, v.Name)
			}
			count += max(1, len(v.Cases))
			for name, make := range subjects {
				t.Run(fmt.Sprintf("%s/%s/%s", name, file, v.Name), func(t *testing.T) { v.check(t, make(w)) })
			}
		}
	}
	if n := len(files["section10"].Vectors); n != 16 || count < 216 {
		t.Errorf("%d vectors, %d of them of section 10: all 16 of that and 200 more are wanted", count, n)
	}
	t.Logf("%d vectors", count)
}

func (v *vector) check(t *testing.T, s subject) {
	got := s.load()
	if !reflect.DeepEqual(got, v.Cycle) {
		t.Fatalf("loading gives the cycle %+v, want %+v", got, v.Cycle)
	}
	if got != nil {
		return
	}
	for i := range v.Cases {
		c := &v.Cases[i]
		if !c.expects() {
			t.Errorf("case %d %q expects nothing", i, c.Name)
		}
		for _, p := range c.differences(s.run(c.request())) {
			t.Errorf("case %d %q: %s", i, c.Name, p)
		}
	}
}

// expects says whether the case can fail.
func (c *requestCase) expects() bool {
	for _, chain := range []*[]string{c.Access, c.Enrolled, c.Rewrite, c.Response, c.HeaderFilter, c.BodyFilter, c.Log} {
		if chain != nil {
			return true
		}
	}
	return len(c.Merged) > 0 || len(c.Inherits) > 0
}

// differences says what is not as the case wants it.
func (c *requestCase) differences(got reference.Outcome) []string {
	var found []string
	chain := func(name string, want *[]string, got []string) {
		if want != nil && !slices.Equal(*want, got) {
			found = append(found, fmt.Sprintf("%s is %v, want %v", name, got, *want))
		}
	}
	chain("access", c.Access, got.Access)
	chain("enrolled", c.Enrolled, got.Enrolled)
	chain("rewrite", c.Rewrite, got.Chains[reference.Rewrite])
	chain("response", c.Response, got.Chains[reference.Response])
	chain("header_filter", c.HeaderFilter, got.Chains[reference.HeaderFilter])
	chain("body_filter", c.BodyFilter, got.Chains[reference.BodyFilter])
	chain("log", c.Log, got.Chains[reference.Log])
	if c.Failed != got.Failed {
		found = append(found, fmt.Sprintf("failed is %q, want %q", got.Failed, c.Failed))
	}
	for label, want := range c.Merged {
		if !reflect.DeepEqual(got.Config[label], want) {
			found = append(found, fmt.Sprintf("the configuration of %s is %v, want %v", label, got.Config[label], want))
		}
	}
	for label, want := range c.Inherits {
		if !slices.Equal(got.Inherits[label], want) {
			found = append(found, fmt.Sprintf("%s inherits from %v, want %v", label, got.Inherits[label], want))
		}
	}
	return found
}
