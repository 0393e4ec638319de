package plugincache

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestValuesBelongToTheirPlugin(t *testing.T) {
	s := New(1 << 20)
	value := []byte("one")
	s.Set("a", "k", value, 0)
	value[0] = 'X' // the plugin's memory, which is used again
	if got := s.Get("a", "k"); string(got) != "one" {
		t.Errorf("got %q", got)
	}
	if got := s.Get("b", "k"); got != nil {
		t.Errorf("another plugin sees %q", got)
	}
	s.Set("a", "k", []byte("two"), 0)
	if got := s.Get("a", "k"); string(got) != "two" {
		t.Errorf("after another set: %q", got)
	}
	s.Delete("b", "k")
	if s.Get("a", "k") == nil {
		t.Error("another plugin deleted it")
	}
	s.Delete("a", "k")
	if got := s.Get("a", "k"); got != nil {
		t.Errorf("after the delete: %q", got)
	}
}

// The time to live counts from the set, however often the value is read; a set without one takes it away.
func TestTimeToLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(1 << 20)
		s.Set("a", "short", []byte("x"), 0.5)
		s.Set("a", "long", []byte("x"), 1e12)
		s.Set("a", "kept", []byte("x"), 0.5)
		s.Set("a", "kept", []byte("x"), 0)
		for range 4 {
			time.Sleep(100 * time.Millisecond)
			if s.Get("a", "short") == nil {
				t.Fatal("gone before its time")
			}
		}
		time.Sleep(101 * time.Millisecond)
		if s.Get("a", "short") != nil {
			t.Error("there after its time")
		}
		time.Sleep(time.Hour)
		if s.Get("a", "long") == nil || s.Get("a", "kept") == nil {
			t.Error("a value without a time, or with a very long one, is gone")
		}
	})
}

// All values together stay within the size; what was used last stays.
func TestSize(t *testing.T) {
	const size = 100 << 10
	s := New(size)
	value := bytes.Repeat([]byte("x"), 1000)
	for i := range 1000 {
		s.Set("a", fmt.Sprint(i), value, 0)
		s.Get("a", "0")
	}
	kept := 0
	for i := range 1000 {
		if s.Get("a", fmt.Sprint(i)) != nil {
			kept++
		}
	}
	if kept*len(value) > size || kept < 50 {
		t.Errorf("%d values of %d bytes in %d bytes", kept, len(value), size)
	}
	if s.Get("a", "0") == nil || s.Get("a", "999") == nil {
		t.Error("what was used last is gone")
	}
	// What has expired goes before what is older.
	s.Set("a", "short", value, 1e-9)
	s.Set("a", "more", value, 0)
	if s.values.Get(key{"a", "short"}) != nil || s.values.Has(key{"a", "short"}) {
		t.Error("an expired value is kept")
	}
	s.Set("a", "huge", make([]byte, 2*size), 0)
	if s.Get("a", "huge") != nil {
		t.Error("a value larger than the store is in it")
	}
	if s.Get("a", "more") == nil {
		t.Error("a value larger than the store emptied it")
	}
	s.Set("a", "more", make([]byte, 2*size), 0)
	if s.Get("a", "more") != nil {
		t.Error("the value before one that is too large is still there")
	}
}
