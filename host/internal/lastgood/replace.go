package lastgood

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// beside is the ending of the name under which what a file held is kept. The second one has .2 behind it, and so on.
const beside = ".before-restore"

// Beside is what became of the text that a file held before.
type Beside struct {
	Path    string   // where it is; "": there was no file, or it held the same
	Removed []string // of earlier ones, which were more than Most
}

// Replace writes a file of a configuration. What it held is kept beside it, and so are the texts of earlier times, Most of them at most. A file that was not
// there gets the owner of the kept one, which is the gateway's user.
func Replace(file string, kept Entry, text []byte) (before Beside, err error) {
	mode := fs.FileMode(0o600)
	var like fs.FileInfo // of whose owner a file becomes that was not there
	old, err := os.ReadFile(file)
	switch {
	case err == nil && string(old) == string(text):
		return before, nil
	case err == nil:
		if st, err := os.Stat(file); err == nil {
			mode = st.Mode().Perm()
		}
		if before, err = keepBeside(file, old, mode); err != nil {
			return before, fmt.Errorf("keeping what %s holds: %w", file, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return before, fmt.Errorf("reading what %s holds: %w", file, err)
	}
	if err != nil {
		like, _ = os.Stat(kept.Path)
	}
	if err := writeFile(file, text, mode, like); err != nil {
		return before, fmt.Errorf("writing the configuration: %w", err)
	}
	return before, nil
}

// keepBeside writes a text beside a file, unless it is there already, and removes the oldest ones that are too many.
func keepBeside(file string, text []byte, mode fs.FileMode) (Beside, error) {
	numbers, err := numbersBeside(file)
	if err != nil {
		return Beside{}, err
	}
	for _, n := range numbers {
		if same, err := os.ReadFile(nameBeside(file, n)); err == nil && string(same) == string(text) {
			return Beside{Path: nameBeside(file, n)}, nil
		}
	}
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	b := Beside{Path: nameBeside(file, next)}
	if err := WriteFile(b.Path, text, mode); err != nil {
		return Beside{}, err
	}
	for len(numbers) >= Most {
		if err := os.Remove(nameBeside(file, numbers[0])); err != nil {
			return b, err
		}
		b.Removed = append(b.Removed, nameBeside(file, numbers[0]))
		numbers = numbers[1:]
	}
	return b, nil
}

// numbersBeside are those of the texts that are kept beside a file, the oldest first.
func numbersBeside(file string) ([]int, error) {
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(file)+beside)
		n, err := strconv.Atoi(strings.TrimPrefix(rest, "."))
		switch {
		case ok && rest == "":
			n = 1
		case !ok || err != nil || n < 2 || filepath.Base(nameBeside(file, n)) != e.Name():
			continue
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers, nil
}

func nameBeside(file string, n int) string {
	if n == 1 {
		return file + beside
	}
	return file + beside + "." + strconv.Itoa(n)
}
