package pdk_test

import (
	"context"
	"slices"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// backend answers the functions that the tests call; any other one panics.
type backend struct {
	pdk.Backend
	logged []any
	values []string
}

func (b *backend) Context() context.Context                      { return context.TODO() }
func (b *backend) Err() error                                    { return pdk.ErrPhase }
func (b *backend) RequestGetHeader(name string) (string, bool)   { return "value of " + name, true }
func (b *backend) RequestGetMethod() string                      { return "GET" }
func (b *backend) LogErr(args ...any)                            { b.logged = args }
func (b *backend) ResponseSetHeader(_ string, v ...string) error { b.values = v; return pdk.ErrArg }

func TestPDKDelegates(t *testing.T) {
	var k pdk.PDK
	b := &backend{}
	k.Init(b)
	if v, ok := k.Request.GetHeader("x"); v != "value of x" || !ok {
		t.Errorf("GetHeader: %q, %v", v, ok)
	}
	k.Log.Err("a", 1, nil)
	if len(b.logged) != 3 || b.logged[1] != 1 {
		t.Errorf("Err: the backend got %v", b.logged)
	}
	if err := k.Response.SetHeader("x", "1", "2"); err != error(pdk.ErrArg) || !slices.Equal(b.values, []string{"1", "2"}) {
		t.Errorf("SetHeader: %v, the backend got %q", err, b.values)
	}
	if k.Context() != context.TODO() || k.Err() != error(pdk.ErrPhase) {
		t.Errorf("Context %v, Err %v", k.Context(), k.Err())
	}
}

func TestCallingThePDKDoesNotAllocate(t *testing.T) {
	var k pdk.PDK
	k.Init(&backend{})
	var method string
	if n := testing.AllocsPerRun(100, func() { method = k.Request.GetMethod() }); n != 0 || method != "GET" {
		t.Errorf("%v allocations for %q, expected none", n, method)
	}
}
