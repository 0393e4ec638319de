package config

import (
	"os"
	"strings"
	"testing"
)

// What the guide of load balancing shows is valid: whole documents, and pieces of an upstream.
func TestGuideOfLoadBalancing(t *testing.T) {
	text, err := os.ReadFile("../../../docs/guides/load-balancing.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, part := range strings.Split(string(text), "```") {
		block, yaml := strings.CutPrefix(part, "yaml\n")
		if i%2 == 0 || !yaml {
			continue
		}
		if !strings.HasPrefix(block, "_format_version") {
			block = "_format_version: \"3.0\"\nupstreams:\n- name: pool\n  targets: [{target: \"10.0.0.1:80\"}]\n" + block
		}
		if _, err := Parse("load-balancing.md", []byte(block)); err != nil {
			t.Errorf("%s\n%v", block, err)
		}
		n++
	}
	if n < 5 {
		t.Errorf("%d blocks of YAML, expected more", n)
	}
}
