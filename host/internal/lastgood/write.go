package lastgood

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// WriteFile writes a file so that its name leads to the old text or to the new one, whole, also when the machine stops in the middle. A link stays, and what
// it leads to is written. A file that is there keeps its mode, and its owner as far as this user may give files away: what root writes, the gateway can
// still read. A new file gets the mode. A pipe or a device is written to as it is.
func WriteFile(path string, text []byte, mode fs.FileMode) error {
	return writeFile(path, text, mode, nil)
}

// writeFile is WriteFile; a new file gets the owner of like, as far as this user may give files away. It has it before it has its name: who can write in
// the directory could put a link in the place of the file, and be given what that leads to.
func writeFile(path string, text []byte, mode fs.FileMode, like fs.FileInfo) (err error) {
	if path, err = followed(path); err != nil {
		return err
	}
	st, err := os.Stat(path)
	switch {
	case err == nil && !st.Mode().IsRegular():
		return writeTo(path, text)
	case err == nil:
		mode, like = st.Mode().Perm(), st
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".writing-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if like != nil {
		if owner, ok := like.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(owner.Uid), int(owner.Gid)) // before Chmod, which it may undo
		}
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, derr := os.Open(dir)
	if derr != nil {
		return nil // the file is there; that its name lasts cannot be made sure
	}
	defer d.Close()
	_ = d.Sync() // not every file system can
	return nil
}

// mostLinks are followed from one file to another.
const mostLinks = 40

// followed is where a path leads over links, also when nothing is there yet. What .. is in a link is seen from where the link really is: its directory may
// be a link too.
func followed(path string) (string, error) {
	for range mostLinks {
		st, err := os.Stat(path)
		if err == nil && !st.Mode().IsRegular() {
			return path, nil // it may have no name of its own, such as a pipe behind /dev/stdout
		}
		if err == nil {
			return filepath.EvalSymlinks(path)
		}
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil // it is no link
		}
		if !filepath.IsAbs(target) {
			dir, _ := filepath.Split(path)
			if dir, err = filepath.EvalSymlinks(dir); err != nil {
				return "", err
			}
			target = dir + string(filepath.Separator) + target // as it is: to clean it would take .. for what the text says
		}
		path = target
	}
	return "", fmt.Errorf("found more than %d links behind each other at %s", mostLinks, path)
}

// writeTo writes to what is no regular file.
func writeTo(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
