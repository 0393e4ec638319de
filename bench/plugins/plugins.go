// Package plugins has the plugins that the benchmarks run, with the same names and the same work in Go, Python and JavaScript:
//
//	bench-work           reads two request headers, sets one header of the upstream request and one of the response
//	bench-work-2 to -5   the same with headers of their own, for chains of several
//	bench-calls          calls the PDK as often as its configuration says
//	bench-body           reads the request body
//	bench-response-body  reads the body of the upstream's answer
//	bench-noop-1 to -10  do nothing in access (Go)
//
// The Go ones run inside the gateway or in a plugin server; the others are embedded as the directories that they are served from.
package plugins

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

//go:embed python/plugin.py python/pyproject.toml python/requirements.txt
//go:embed js/plugin.js js/package.json
var sources embed.FS

// Directory is the plugin directory of a language, python or js.
func Directory(language string) (fs.FS, error) { return fs.Sub(sources, language) }

// All lists the Go plugins.
func All() []pdk.Plugin {
	list := []pdk.Plugin{work(1), calls, requestBody, responseBody}
	for number := 2; number <= 5; number++ {
		list = append(list, work(number))
	}
	for number := 1; number <= 10; number++ {
		list = append(list, pdk.Plugin{
			Name: "bench-noop-" + strconv.Itoa(number), Version: version, Priority: 400 - number, New: func() any { return &noop{} },
		})
	}
	return list
}

// ByNames finds plugins by names with commas between them.
func ByNames(names string) ([]pdk.Plugin, error) {
	all := All()
	var list []pdk.Plugin
	for name := range strings.FieldsFuncSeq(names, func(r rune) bool { return r == ',' }) {
		found := false
		for _, p := range all {
			if p.Name == name {
				list, found = append(list, p), true
			}
		}
		if !found {
			return nil, fmt.Errorf("plugin %q is not one of the bench's in Go", name)
		}
	}
	return list, nil
}
