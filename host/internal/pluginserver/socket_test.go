package pluginserver

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// socketAt makes a unix socket with permissions, in a directory with permissions of its own.
func socketAt(t *testing.T, dirMode, mode fs.FileMode) string {
	t.Helper()
	dir := filepath.Join(shortDir(t), "d")
	path := filepath.Join(dir, "s.sock")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err == nil {
		t.Cleanup(func() { l.Close() })
		err = os.Chmod(path, mode)
	}
	if err == nil {
		err = os.Chmod(dir, dirMode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSocketChecks(t *testing.T) {
	me, mine := strconv.Itoa(os.Geteuid()), strconv.Itoa(os.Getegid())
	const someone = "54321"
	for name, c := range map[string]struct {
		dir, mode fs.FileMode
		want      Socket
		refused   []string // nil: it is good
	}{
		"nothing expected":                                     {0o755, 0o666, Socket{}, nil},
		"world-writable in a sticky directory":                 {0o777 | fs.ModeSticky, 0o666, Socket{}, nil},
		"world-writable in a directory that anybody may write": {0o777, 0o666, Socket{}, []string{"may be written by anybody", "drwxrwxrwx", "run chmod o-w "}},
		"the owner's alone in a directory that anybody writes": {0o777, 0o600, Socket{}, nil},
		"a directory that anybody writes, with an owner":       {0o777, 0o600, Socket{Owner: me}, []string{"its directory", "may be written by anybody"}},
		"the owner":                 {0o755, 0o660, Socket{Owner: me}, nil},
		"another owner":             {0o755, 0o660, Socket{Owner: someone}, []string{"found owner " + userName(uint32(os.Geteuid())), "expected 54321", "start the server as that user"}},
		"the owner, but anybody":    {0o755, 0o666, Socket{Owner: me}, []string{"anybody may connect", "run chmod o-w ", `socket.mode: "0666"`}},
		"anybody, as is said":       {0o755, 0o666, Socket{Owner: me, Mode: 0o666}, nil},
		"the group":                 {0o755, 0o660, Socket{Group: mine}, nil},
		"another group":             {0o755, 0o660, Socket{Group: someone}, []string{"found group " + groupName(uint32(os.Getegid())), "run chgrp 54321 "}},
		"less than the mode":        {0o755, 0o600, Socket{Mode: 0o660}, nil},
		"the mode":                  {0o755, 0o660, Socket{Mode: 0o660}, nil},
		"more than the mode":        {0o755, 0o664, Socket{Mode: 0o660}, []string{"found permissions 0664, expected at most 0660", "run chmod 0660 "}},
		"a mode, and the directory": {0o777, 0o660, Socket{Mode: 0o660}, []string{"may be written by anybody"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketAt(t, c.dir, c.mode)
			rules, err := c.want.rules()
			if err != nil {
				t.Fatal(err)
			}
			err = rules.check(path)
			if c.refused == nil {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("it is used")
			}
			for _, part := range append(c.refused, "unix socket "+path, "is refused") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

// A link is followed: what counts is where the socket is, and where the link is.
func TestSocketBehindALink(t *testing.T) {
	path := socketAt(t, 0o777, 0o600)
	link := filepath.Join(shortDir(t), "l.sock")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	rules, err := Socket{Mode: 0o600}.rules()
	if err != nil {
		t.Fatal(err)
	}
	if err := rules.check(link); err == nil || !strings.Contains(err.Error(), filepath.Dir(path)) {
		t.Errorf("error %v, want one about %s", err, filepath.Dir(path))
	}
}

// A directory of somebody else may hold another socket a moment later.
func TestSocketInADirectoryOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give a directory away")
	}
	path := socketAt(t, 0o755, 0o600)
	if err := os.Chown(filepath.Dir(path), 54321, 54321); err != nil {
		t.Fatal(err)
	}
	rules, err := Socket{Owner: "root"}.rules()
	if err != nil {
		t.Fatal(err)
	}
	if err := rules.check(path); err == nil || !strings.Contains(err.Error(), "belongs to neither root, root nor this host") {
		t.Errorf("error %v", err)
	}
}

func TestSocketOwnerIsNobody(t *testing.T) {
	for _, s := range []Socket{{Owner: "no-such-user"}, {Group: "no-such-group"}} {
		_, err := Start(t.Context(), []Config{{Name: "a", Addresses: []string{"unix:///x"}, Socket: s}}, Options{})
		if err == nil || !strings.Contains(err.Error(), `plugin server "a": socket.`) || !strings.Contains(err.Error(), "of this machine, or its number") {
			t.Errorf("error %v", err)
		}
	}
}

// Who listens is asked of the system: a socket file that is the owner's proves nothing about the process behind it.
func TestSocketPeer(t *testing.T) {
	path := socketAt(t, 0o755, 0o600)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for owner, refused := range map[string]bool{strconv.Itoa(os.Geteuid()): false, "54321": true, "": false} {
		rules, err := Socket{Owner: owner}.rules()
		if err != nil {
			t.Fatal(err)
		}
		err = rules.checkPeer(conn)
		if refused != (err != nil) {
			t.Errorf("owner %q: %v", owner, err)
		}
		if err != nil && !strings.Contains(err.Error(), "(pid "+strconv.Itoa(os.Getpid())+") runs as ") {
			t.Errorf("error %v", err)
		}
	}
}

// A server whose socket is refused is not ready, and says why; it is used as soon as the socket is right. The data plane is checked too.
func TestAttachedSocketIsChecked(t *testing.T) {
	for _, plane := range []string{"control", "data"} {
		t.Run(plane, func(t *testing.T) {
			path := filepath.Join(shortDir(t), "a.sock")
			spawnWith(t, map[string]string{sdkKey: "1", "GORACE": quick}, "--listen", "unix://"+path)
			open := path
			if plane == "data" {
				open += ".data"
			}
			eventually(t, "the sockets", func() bool { return exists(path) && exists(path+".data") })
			if err := os.Chmod(open, 0o666); err != nil {
				t.Fatal(err)
			}
			w := newWorld(t)
			cfg := addresses(path)
			cfg.StartTimeout = time.Second
			cfg.Socket = Socket{Owner: strconv.Itoa(os.Geteuid()), Mode: 0o600}
			if err := w.start(cfg); err == nil {
				t.Fatal("it is ready")
			}
			eventually(t, "a reason", func() bool {
				return strings.Contains(w.Server("a").State().Reason, "unix socket "+open+" (mode S") &&
					strings.Contains(w.Server("a").State().Reason, "found permissions 0666, expected at most 0600")
			})
			if err := os.Chmod(open, 0o600); err != nil {
				t.Fatal(err)
			}
			eventually(t, "ready", func() bool { return w.ready("a") })
		})
	}
}
