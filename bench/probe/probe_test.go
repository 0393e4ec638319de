package probe

import "testing"

func TestMetric(t *testing.T) {
	text := []byte("# HELP go_goroutines Number of goroutines.\n# TYPE go_goroutines gauge\ngo_goroutines 42\ngo_memstats_heap_alloc_bytes 1.5e+06\nx{a=\"go_goroutines 7\"} 3\n")
	if v, err := Metric(text, "go_goroutines"); err != nil || v != 42 {
		t.Errorf("found %v %v", v, err)
	}
	if v, err := Metric(text, "go_memstats_heap_alloc_bytes"); err != nil || v != 1.5e6 {
		t.Errorf("found %v %v", v, err)
	}
	if _, err := Metric(text, "go_threads"); err == nil {
		t.Error("found a metric that is not there")
	}
}
