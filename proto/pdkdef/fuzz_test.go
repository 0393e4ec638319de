package pdkdef_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

// FuzzLoad: whatever the text is, the answer is a definition or an error with places.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("../pdk/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v, %v", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(head + read))
	f.Add([]byte("functions:\n  - name: A\n    class: write")) // a function in a namespace without a name
	f.Add([]byte("&a [*a]"))
	f.Add([]byte("? {a: b}\n: - c\n<<: *x\n"))
	f.Add([]byte("namespace: !!int x\nfunctions: [{params: [{}], returns: [], errors: 1, phases: {}}]\n---\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		def, err := pdkdef.Load(fstest.MapFS{"a.yaml": {Data: text}}, ".")
		if err != nil {
			var invalid *pdkdef.InvalidError
			if errors.As(err, &invalid) {
				for _, p := range invalid.Problems {
					if p.Pos.File != "a.yaml" || p.Pos.Line < 1 || p.Pos.Col < 1 {
						t.Errorf("a problem without a place: %s", p)
					}
				}
			}
			return
		}
		for _, fn := range def.Functions() {
			if def.Lookup(fn.FullName()) != fn {
				t.Errorf("%s is not found by its name", fn.FullName())
			}
		}
	})
}
