package pluginserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Socket is what a unix socket of an attached server has to be like. A host that connects to the wrong process gives it all requests.
type Socket struct {
	Owner string      // name or number of the user that owns the socket, and as which the server runs; empty: any
	Group string      // name or number of the socket's group; empty: any
	Mode  fs.FileMode // permissions that the socket may have at most; 0: any, but see Owner
}

// socketRules are a Socket with its numbers.
type socketRules struct {
	Socket
	uid, gid uint32
}

const othersMayWrite = 0o002

// rules looks the names up.
func (s Socket) rules() (*socketRules, error) {
	r := &socketRules{Socket: s}
	if s.Owner != "" {
		u, err := user.Lookup(s.Owner)
		if _, numErr := strconv.ParseUint(s.Owner, 10, 32); err != nil && numErr == nil {
			u, err = &user.User{Uid: s.Owner}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("socket.owner: %w: name a user of this machine, or its number", err)
		}
		n, _ := strconv.ParseUint(u.Uid, 10, 32)
		r.uid = uint32(n)
	}
	if s.Group != "" {
		g, err := user.LookupGroup(s.Group)
		if _, numErr := strconv.ParseUint(s.Group, 10, 32); err != nil && numErr == nil {
			g, err = &user.Group{Gid: s.Group}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("socket.group: %w: name a group of this machine, or its number", err)
		}
		n, _ := strconv.ParseUint(g.Gid, 10, 32)
		r.gid = uint32(n)
	}
	return r, nil
}

// strict says whether the settings expect anything.
func (r *socketRules) strict() bool { return r.Socket != Socket{} }

// check looks at the socket and its directory before a connection. What is not there, or no socket, is no matter here: connecting fails and
// says why.
func (r *socketRules) check(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return nil
	}
	refuse := func(what, fix string) error {
		return fmt.Errorf("unix socket %s (%s) is refused: %s: %s", path, describeFile(info), what, fix)
	}
	st := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case r.Owner != "" && st.Uid != r.uid:
		return refuse("found owner "+userName(st.Uid)+", expected "+userName(r.uid),
			"start the server as that user, or correct socket.owner")
	case r.Group != "" && st.Gid != r.gid:
		return refuse("found group "+groupName(st.Gid)+", expected "+groupName(r.gid),
			"run chgrp "+groupName(r.gid)+" "+path+", or correct socket.group")
	case r.Mode != 0 && mode&^r.Mode != 0:
		return refuse(fmt.Sprintf("found permissions %04o, expected at most %04o", mode, r.Mode),
			fmt.Sprintf("run chmod %04o %s, start the server with another umask, or correct socket.mode", mode&r.Mode, path))
	case r.Mode == 0 && r.strict() && mode&othersMayWrite != 0:
		return refuse("anybody may connect to it", fmt.Sprintf("run chmod o-w %s, or allow it with socket.mode: %q", path, fmt.Sprintf("%04o", mode)))
	}
	return r.checkDirs(path, mode)
}

// checkDirs looks at the directories of the path and of what it links to: who may write there may put another socket in its place.
func (r *socketRules) checkDirs(path string, mode fs.FileMode) error {
	dirs := []string{filepath.Dir(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil && filepath.Dir(real) != dirs[0] {
		dirs = append(dirs, filepath.Dir(real))
	}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			return nil
		}
		st := info.Sys().(*syscall.Stat_t)
		refuse := func(what, fix string) error {
			return fmt.Errorf("unix socket %s is refused: its directory %s (%s) %s: whoever may write there may put another socket in its place: %s",
				path, dir, describeFile(info), what, fix)
		}
		open := info.Mode().Perm()&othersMayWrite != 0 && info.Mode()&fs.ModeSticky == 0
		switch {
		case open && (r.strict() || mode&othersMayWrite != 0):
			return refuse("may be written by anybody", "run chmod o-w "+dir+", or put the socket into a directory of its own")
		case r.Owner != "" && st.Uid != r.uid && st.Uid != 0 && int(st.Uid) != os.Geteuid():
			return refuse("belongs to neither "+userName(r.uid)+", root nor this host", "give the socket a directory of "+userName(r.uid))
		}
	}
	return nil
}

// checkPeer looks at who answers on the connection: the process that listens must be the owner's.
func (r *socketRules) checkPeer(conn net.Conn) error {
	if r.Owner == "" {
		return nil
	}
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return fmt.Errorf("ask who listens on %s: %w", conn.RemoteAddr(), err)
	}
	var cred *unix.Ucred
	if ctlErr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); ctlErr != nil || err != nil {
		return fmt.Errorf("ask who listens on %s: %w", conn.RemoteAddr(), errors.Join(ctlErr, err))
	}
	if cred.Uid != r.uid {
		return fmt.Errorf("unix socket %s is refused: the process that listens (pid %d) runs as %s, expected %s: start the server as that user, or correct socket.owner",
			conn.RemoteAddr(), cred.Pid, userName(cred.Uid), userName(r.uid))
	}
	return nil
}
