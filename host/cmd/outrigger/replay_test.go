package main

import (
	"strings"
	"testing"
	"time"
)

func TestReplayCommandLine(t *testing.T) {
	for line, want := range map[string]string{
		"":                                       "found no file",
		"f":                                      "expected one plugin server",
		"f --":                                   "found nothing after --",
		"f --server a --settings b":              "expected one plugin server",
		"f --server a -- x":                      "expected one plugin server",
		"f g -- x":                               `found "g" after the file`,
		"f --server":                             "--server needs a value",
		"f --server=":                            "--server needs a value",
		"f --server a --server b":                "--server is given twice",
		"f --speed 3 -- x":                       "unknown flag --speed",
		"f --plugin-server p -- x":               "which is not given",
		"f --phase acess -- x":                   `--phase: found "acess"`,
		"f --carrier http -- x":                  `--carrier: found "http"`,
		"f --timeout soon -- x":                  `--timeout: found "soon"`,
		"f --timeout 0s -- x":                    `--timeout: found "0s"`,
		"f -- x --server y":                      "",
		"--json f --server=unix:///s --body b":   "",
		"f --settings s --plugin-server p":       "",
		"f --timeout 1m --phase log -- x --help": "",
	} {
		var p replaying
		err := p.parse(strings.Fields(line))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: found %v, expected %q", line, err, want)
		}
	}
	var p replaying
	if err := p.parse(strings.Fields("f --timeout 1m --phase=log --body a --body b -- x --help")); err != nil || p.Timeout != time.Minute ||
		p.Phase != "log" || len(p.bodies) != 2 || strings.Join(p.Command, " ") != "x --help" || p.file != "f" {
		t.Errorf("%+v, %v", p, err)
	}
	var out, errOut strings.Builder
	if code := run([]string{"replay", "--help"}, &out, &errOut); code != exitOK || !strings.Contains(out.String(), "Exit code 0: the call succeeds now.") {
		t.Errorf("%d %s%s", code, out.String(), errOut.String())
	}
	out.Reset()
	if code := run([]string{"help", "replay"}, &out, &errOut); code != exitOK || !strings.Contains(out.String(), "outrigger replay FILE") {
		t.Errorf("%d %s%s", code, out.String(), errOut.String())
	}
	for _, args := range [][]string{{"replay"}, {"replay", "/none", "--", "x"}, {"replay", "replay.go", "--", "x"}} {
		errOut.Reset()
		if code := run(args, &out, &errOut); code != 2 || errOut.Len() == 0 {
			t.Errorf("%v: code %d, %s", args, code, errOut.String())
		}
	}
}
