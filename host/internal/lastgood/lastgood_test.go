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
	"syscall"
	"testing"
	"time"
)

func hash(n int) string { return fmt.Sprintf("%032x", n) }

var start = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := In(dir)
	if list, err := s.List(); err != nil || len(list) > 0 {
		t.Fatalf("before there is anything: %v, %v", list, err)
	}
	if _, _, err := s.Find(""); err == nil || !strings.Contains(err.Error(), "found no configuration in") {
		t.Errorf("found %v", err)
	}
	keep := func(n int, name, text string) {
		t.Helper()
		if err := s.Keep(hash(n), name, []byte(text), start.Add(time.Duration(n)*time.Nanosecond)); err != nil {
			t.Fatal(err)
		}
	}
	keep(1, "gateway.json", "{}")
	keep(1, "gateway.json", "{}") // the newest already
	keep(2, "gateway.yaml", "a: b")
	list, err := s.List()
	if err != nil || len(list) != 2 || list[0].Hash != hash(2) || filepath.Ext(list[1].Path) != ".json" || !list[0].Time.After(list[1].Time) {
		t.Fatalf("found %+v, %v", list, err)
	}
	for _, path := range []string{dir, list[0].Path} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
	if e, text, err := s.Find(""); err != nil || e.Hash != hash(2) || string(text) != "a: b" {
		t.Errorf("the newest: %+v %q %v", e, text, err)
	}
	if e, text, err := s.Find(hash(1)[:32]); err != nil || e.Hash != hash(1) || string(text) != "{}" {
		t.Errorf("by hash: %+v %q %v", e, text, err)
	}
	if _, _, err := s.Find("ff"); err == nil || !strings.Contains(err.Error(), "the hash ff") {
		t.Errorf("found %v", err)
	}
}

// The oldest go, and what is not ours stays.
func TestKeepsSome(t *testing.T) {
	s := In(t.TempDir())
	for n := range Most + 5 {
		if err := s.Keep(hash(n), "g.yaml", []byte("x"), start.Add(time.Duration(n)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(s.dir, "notes.yaml")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := s.List()
	if err != nil || len(list) != Most || list[0].Hash != hash(Most+4) || list[Most-1].Hash != hash(5) {
		t.Errorf("found %d, %v, %+v", len(list), err, list)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	files, err := os.ReadDir(s.dir)
	if err != nil || len(files) != Most+1 {
		t.Errorf("%d files are there, %v", len(files), err)
	}
}

func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(filepath.Join(dir, "gone", "f"), nil, 0o600); err == nil {
		t.Error("a directory that is not there")
	}
	target := filepath.Join(dir, "d")
	if err := os.MkdirAll(filepath.Join(target, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(target, []byte("x"), 0o600); err == nil {
		t.Error("a directory in the place of the file")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%d files are left behind, %v", len(files), err)
	}
}

// A link stays one, and a file keeps its owner: root may restore what another user reads.
func TestWriteFileKeepsLinkAndOwner(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	root := os.Getuid() == 0
	if root {
		if err := os.Chown(file, 65534, 65533); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteFile(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if to, lerr := os.Readlink(link); err != nil || lerr != nil || string(text) != "new" || to != "file" {
		t.Errorf("the file holds %q, %v, the link leads to %q, %v", text, err, to, lerr)
	}
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if owner := st.Sys().(*syscall.Stat_t); root && (owner.Uid != 65534 || owner.Gid != 65533) {
		t.Errorf("found the owner %d:%d, expected the one from before", owner.Uid, owner.Gid)
	}
}

func TestReplace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if before, err := Replace(file, Entry{}, []byte("one")); err != nil || before.Path != "" {
		t.Fatalf("found %q, %v", before, err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if before, err := Replace(file, Entry{}, []byte("one")); err != nil || before.Path != "" {
		t.Fatalf("the same again: %q, %v", before, err)
	}
	before, err := Replace(file, Entry{}, []byte("two"))
	if err != nil || before.Path != file+".before-restore" {
		t.Fatalf("found %q, %v", before, err)
	}
	for path, want := range map[string]string{file: "two", before.Path: "one"} {
		text, err := os.ReadFile(path)
		st, serr := os.Stat(path)
		if err != nil || serr != nil || string(text) != want || st.Mode().Perm() != 0o640 {
			t.Errorf("%s: %q, %v, %v", path, text, err, st.Mode())
		}
	}
}

// A file that was lost comes back as one that the gateway's user can read, also when root restores it.
func TestReplaceWhatIsLost(t *testing.T) {
	dir := t.TempDir()
	file, kept := filepath.Join(dir, "gateway.yaml"), filepath.Join(dir, "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	uid := os.Getuid()
	if uid == 0 {
		uid = 65534
		if err := os.Chown(kept, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Replace(file, Entry{Path: kept}, []byte("one")); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(file)
	if err != nil || int(st.Sys().(*syscall.Stat_t).Uid) != uid || st.Mode().Perm() != 0o600 {
		t.Errorf("found %+v, %v, expected the owner %d", st, err, uid)
	}
}

// No restoring overwrites what was kept at another one, and the texts do not grow without end.
func TestReplaceKeepsAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	replace := func(text string) Beside {
		t.Helper()
		b, err := Replace(file, Entry{}, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".before-restore.x", ".before-restore.0"} {
		if err := os.WriteFile(file+name, []byte("another's"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace("a")
	if b := replace("b"); b.Path != file+".before-restore.2" {
		t.Errorf("found %+v", b)
	}
	if b := replace("a"); b.Path != file+".before-restore.3" {
		t.Errorf("found %+v", b)
	}
	if b := replace("c"); b.Path != file+".before-restore.2" { // holds a already
		t.Errorf("found %+v", b)
	}
	if text, err := os.ReadFile(file + ".before-restore"); err != nil || string(text) != "mine" {
		t.Errorf("found %q, %v", text, err)
	}
	var removed []string
	for i := range 9 {
		removed = append(removed, replace(strconv.Itoa(i)).Removed...)
	}
	if want := []string{file + ".before-restore", file + ".before-restore.2"}; !slices.Equal(removed, want) {
		t.Errorf("removed %q, expected %q", removed, want)
	}
	left, err := filepath.Glob(file + ".before-restore*")
	if err != nil || len(left) != Most+2 {
		t.Errorf("found %q, %v", left, err)
	}
}

// A file keeps its mode; links lead to what is written; a pipe stays one.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("shared"), nil, 0o600), os.Chmod(at("shared"), 0o664), os.Mkdir(at("sub"), 0o700),
		os.Symlink("shared", at("link")), os.Symlink("sub/new", at("dangling")), os.Symlink("dangling", at("far")), os.Symlink("round", at("round")),
		syscall.Mkfifo(at("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(at("pipe"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	for _, c := range []struct {
		path, real string
		mode       fs.FileMode
	}{
		{"shared", "shared", 0o664}, {"link", "shared", 0o664}, {"far", "sub/new", 0o600}, {"new", "new", 0o600},
	} {
		if err := WriteFile(at(c.path), []byte(c.path), 0o600); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
		text, err := os.ReadFile(at(c.real))
		st, serr := os.Lstat(at(c.real))
		if err != nil || serr != nil || string(text) != c.path || !st.Mode().IsRegular() || st.Mode().Perm() != c.mode {
			t.Errorf("%s: found %q, %v, %v, expected the mode %v", c.path, text, errors.Join(err, serr), st.Mode(), c.mode)
		}
	}
	for _, link := range []string{"link", "dangling", "far"} {
		if st, err := os.Lstat(at(link)); err != nil || st.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v, %v", link, st.Mode(), err)
		}
	}
	text := make([]byte, 5)
	if err := WriteFile(at("pipe"), text[:4], 0o600); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(at("pipe")); err != nil || st.Mode()&fs.ModeNamedPipe == 0 {
		t.Fatalf("the pipe is %v, %v", st.Mode(), err)
	}
	if n, err := pipe.Read(text); err != nil || n != 4 {
		t.Errorf("found %d bytes in the pipe, %v", n, err)
	}
	for _, wrong := range []string{"round", "sub", "no/such"} {
		if err := WriteFile(at(wrong), nil, 0o600); err == nil {
			t.Errorf("%s: found no error", wrong)
		}
	}
	if left, err := filepath.Glob(at(".writing-*")); err != nil || len(left) > 0 {
		t.Errorf("found %q, %v", left, err)
	}
}

// A link is seen from where it really is: the directory may be a link itself.
func TestWriteFileOverLinkedDirectories(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.MkdirAll(at("real/conf"), 0o700), os.Mkdir(at("real/shared"), 0o700), os.Mkdir(at("shared"), 0o700), os.Symlink("real/conf", at("conf")),
		os.Symlink("../shared/there", at("real/conf/link")), os.Symlink("../shared/new", at("real/conf/dangling")),
		os.Symlink("../conf/../shared/far", at("real/conf/far")), os.WriteFile(at("real/shared/there"), []byte("old"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for link, file := range map[string]string{"link": "there", "dangling": "new", "far": "far"} {
		if err := WriteFile(at("conf/"+link), []byte(link), 0o600); err != nil {
			t.Errorf("%s: %v", link, err)
		}
		if text, err := os.ReadFile(at("real/shared/" + file)); err != nil || string(text) != link {
			t.Errorf("%s: found %q, %v", link, text, err)
		}
	}
	if astray, err := os.ReadDir(at("shared")); err != nil || len(astray) > 0 {
		t.Errorf("found %v, %v where the links only seem to lead", astray, err)
	}
}

// When a file was lost that is a link, what the link leads to gets the owner of what is restored, and not before its text: it never has another one.
func TestReplaceWhatALinkHasLost(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := t.TempDir()
	kept, file, real := filepath.Join(dir, "kept"), filepath.Join(dir, "file"), filepath.Join(dir, "real")
	if err := errors.Join(os.WriteFile(kept, nil, 0o600), os.Chown(kept, 65534, 65533), os.Symlink("real", file)); err != nil {
		t.Fatal(err)
	}
	if _, err := Replace(file, Entry{Path: kept}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	st, err := os.Lstat(real)
	if err != nil {
		t.Fatal(err)
	}
	if owner := st.Sys().(*syscall.Stat_t); owner.Uid != 65534 || owner.Gid != 65533 || !st.Mode().IsRegular() {
		t.Errorf("found %v of %d:%d, expected a file of the owner of what was kept", st.Mode(), owner.Uid, owner.Gid)
	}
}
