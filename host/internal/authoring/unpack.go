package authoring

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// place puts the SDK package of the program into the hidden folder, unless it is there:
//
//	Go                 .outrigger/sdk/, a module
//	Python             .outrigger/NAME.whl, and .outrigger/requirements.txt, which names it
//	JavaScript, TypeScript  .outrigger/outrigger-pdk.tgz
//
// Go has to unpack because a replace in go.mod takes directories only; pip and npm install from the archives.
func (p *project) place() error {
	k, err := kitOf(p.kits, p.language)
	if err != nil {
		return fmt.Errorf("preparing the plugin in %s: %w", p.dir, err)
	}
	placed, err := p.read(hidden, "kit")
	if err != nil {
		return err
	}
	if placed == k.digest() && p.exists(hidden, p.kitFile(k)) {
		return nil
	}
	if err := p.makeHidden(); err != nil {
		return err
	}
	// Without the mark of what is there, an unpacking that is cut short is done again.
	if err := os.Remove(p.path(hidden, "kit")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("preparing the plugin: %w", err)
	}
	if err := p.unpack(k); err != nil {
		return fmt.Errorf("unpacking the SDK package %s into %s: %w", k.name, p.path(hidden), err)
	}
	if err := os.WriteFile(p.path(hidden, "kit"), []byte(k.digest()), 0o644); err != nil {
		return fmt.Errorf("preparing the plugin: %w", err)
	}
	return nil
}

// kitFile is what the plugin refers to in the hidden folder.
func (p *project) kitFile(k kit) string {
	switch p.language {
	case Go:
		return "sdk"
	case Python:
		return k.name // pip reads name and version from it
	}
	return "outrigger-pdk.tgz" // without a version, so that package.json stays as it is when the program is another one
}

func (p *project) unpack(k kit) error {
	file := p.path(hidden, p.kitFile(k))
	switch p.language {
	case Go:
		if err := os.RemoveAll(file); err != nil {
			return err
		}
		return unzip(k.content, file, largest)
	case Python:
		old, err := filepath.Glob(p.path(hidden, "*.whl"))
		if err != nil {
			return err
		}
		for _, wheel := range old {
			if err := os.Remove(wheel); err != nil {
				return err
			}
		}
		line := "# Written by outrigger: the SDK that came with the program. Paths start from the plugin's directory.\n./" + hidden + "/" + k.name + "\n"
		if err := os.WriteFile(p.path(hidden, "requirements.txt"), []byte(line), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(file, k.content, 0o644)
}

// largest bounds what is read from one archive, in bytes.
const largest = 64 << 20

// unzip writes the files of an archive below dir, at most so many bytes. Nothing is written when a name would lead out of it.
func unzip(content []byte, dir string, most int64) error {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return err
	}
	for _, f := range z.File {
		if name := strings.TrimSuffix(f.Name, "/"); !fs.ValidPath(name) || name == "." || strings.ContainsAny(f.Name, "\\:\x00") {
			return fmt.Errorf("the archive has a file named %q; expected a path below the folder", f.Name)
		}
		if !f.Mode().IsRegular() && !f.Mode().IsDir() {
			return fmt.Errorf("the archive has %q of mode %v; expected files and folders", f.Name, f.Mode())
		}
	}
	left := most
	for _, f := range z.File {
		if f.Mode().IsDir() {
			continue
		}
		n, err := unzipFile(f, filepath.Join(dir, filepath.FromSlash(f.Name)), left)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		left -= n
	}
	return nil
}

func unzipFile(f *zip.File, to string, most int64) (int64, error) {
	r, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return 0, err
	}
	if int64(len(content)) > most {
		return 0, errors.New("the archive holds more than is allowed")
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return 0, err
	}
	return int64(len(content)), os.WriteFile(to, content, 0o644)
}
