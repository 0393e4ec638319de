package config

import (
	names "path"
	"strings"
)

// readRedact is black_box_redact.
func readRedact(r *settingReader, _ *node, items []*node, at *path) {
	var list []string
	for i, item := range items {
		if _, err := names.Match(item.text, ""); err != nil || strings.Trim(item.text, "*?") == "" {
			r.problem(itemAt(at, i), item, &problem{expected: "a name such as x-customer-number, in which * stands for any text"})
		} else {
			list = append(list, item.text)
		}
	}
	r.s.BlackBoxRedact = list
}
