package authoring

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

const testGoMod = "module example.org/sdk\n\ngo 1.26.0\n\nrequire (\n\texample.org/a v1.2.3\n\texample.org/b v0.1.0\n)\n"

// zipped makes an archive of pairs of name and content.
func zipped(t *testing.T, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		h := &zip.FileHeader{Name: pairs[i], Method: zip.Deflate}
		if target, link := strings.CutPrefix(pairs[i+1], "-> "); link {
			h.SetMode(fs.ModeSymlink | 0o777)
			pairs[i+1] = target
		}
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(pairs[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// testKits stand for the packages that make kits builds; content is in all of them.
func testKits(t *testing.T, content string) fs.FS {
	t.Helper()
	return fstest.MapFS{
		"README.md":                          {Data: []byte("text")},
		"outrigger-go.zip":                   {Data: zipped(t, "go.mod", testGoMod, "go.sum", "sums\n", "pdk/pdk.go", content)},
		"outrigger_pdk-1.0-py3-none-any.whl": {Data: []byte("wheel " + content)},
		"outrigger-pdk-1.0.tgz":              {Data: []byte("tarball " + content)},
	}
}

func TestKitOf(t *testing.T) {
	kits := testKits(t, "x")
	for l, want := range map[Language]string{Go: "outrigger-go.zip", Python: "outrigger_pdk-1.0-py3-none-any.whl", JavaScript: "outrigger-pdk-1.0.tgz", TypeScript: "outrigger-pdk-1.0.tgz"} {
		if k, err := kitOf(kits, l); err != nil || k.name != want || len(k.content) == 0 || len(k.digest()) != 64 {
			t.Errorf("%s: found %q with %d bytes, %v; expected %q", l, k.name, len(k.content), err, want)
		}
	}
	for _, c := range []struct {
		files fstest.MapFS
		want  string
	}{
		{fstest.MapFS{"README.md": {}}, "built without the SDK packages: build with make build"},
		{fstest.MapFS{"a-1.whl": {}, "a-2.whl": {}}, `several SDK packages, ["a-1.whl" "a-2.whl"]`},
	} {
		if _, err := kitOf(c.files, Python); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: found %v, expected %q", c.files, err, c.want)
		}
	}
}
