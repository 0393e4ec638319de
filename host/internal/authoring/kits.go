package authoring

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
)

//go:embed kits
var archives embed.FS

// embedded is the folder of the SDK packages that this program carries.
func embedded() fs.FS {
	sub, err := fs.Sub(archives, "kits")
	if err != nil {
		panic(err) // the folder is in the line above
	}
	return sub
}

// kit is the SDK package of one language.
type kit struct {
	name    string // of the file
	content []byte
}

// digest tells one kit from another.
func (k kit) digest() string {
	sum := sha256.Sum256(k.content)
	return hex.EncodeToString(sum[:])
}

// SDK tells the SDK package of a language in this program from those of other programs.
func SDK(l Language) (digest string, err error) {
	k, err := kitOf(embedded(), l)
	if err != nil {
		return "", err
	}
	return k.digest(), nil
}

// kitOf finds the package of a language.
func kitOf(kits fs.FS, l Language) (kit, error) {
	pattern := map[Language]string{Go: "*.zip", Python: "*.whl", JavaScript: "*.tgz", TypeScript: "*.tgz"}[l]
	names, err := fs.Glob(kits, pattern)
	if err != nil {
		return kit{}, fmt.Errorf("looking for the SDK package %s: %w", pattern, err)
	}
	switch len(names) {
	case 0:
		return kit{}, fmt.Errorf("this outrigger was built without the SDK packages: build with make build")
	case 1:
		content, err := fs.ReadFile(kits, names[0])
		if err != nil {
			return kit{}, fmt.Errorf("reading the SDK package: %w", err)
		}
		return kit{path.Base(names[0]), content}, nil
	}
	return kit{}, fmt.Errorf("this outrigger was built with several SDK packages, %q: build with make clean build", names)
}
