package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// faketimes are where libfaketime is, in the packages of Debian, Fedora and Alpine; the variant for programs with threads.
var faketimes = []string{"/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1"}

// faketime finds libfaketime; empty: it is not there.
func faketime() string {
	for _, pattern := range faketimes {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// wallNote says what a row of the clock fault leaves out.
func wallNote(language string) string {
	switch {
	case language == "go":
		return "the wall clock stays: Go reads it without libc, which is where it could be shifted"
	case faketime() == "":
		return "the wall clock stays: libfaketime is not installed"
	}
	return ""
}

func (s *stage) write(name, text string) error {
	return os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600)
}

// shiftClock lets the plugin server start again with clocks that are eleven days ahead.
func shiftClock(ctx context.Context, s *stage) error {
	var err error
	if wallNote(s.language) == "" {
		err = errors.Join(s.write("wall", "+0"), s.write("faketime", faketime()))
	}
	return errors.Join(err, s.write("clock", "1000000"), killServer(ctx, s))
}

// jumpWall waits for right answers with the shifted clocks, and again after the wall clock has jumped forwards and back.
func jumpWall(ctx context.Context, s *stage) error {
	if _, err := s.recovered(ctx, time.Now(), recoveryLimit); err != nil || wallNote(s.language) != "" {
		return err
	}
	for _, jump := range []string{"+2d", "-2d"} {
		if err := s.write("wall", jump); err != nil {
			return err
		}
		pause(ctx, 1200*time.Millisecond) // the library looks once a second
		if _, err := s.recovered(ctx, time.Now(), recoveryLimit); err != nil {
			return err
		}
	}
	return nil
}

// resetClock lets the plugin server start again with the clocks of the machine.
func resetClock(ctx context.Context, s *stage) error {
	var errs []error
	for _, name := range []string{"clock", "faketime", "wall"} {
		if err := os.Remove(filepath.Join(s.dir, name)); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, killServer(ctx, s))...)
}

func timeNamespaces() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root, for a time namespace")
	}
	return nil
}
