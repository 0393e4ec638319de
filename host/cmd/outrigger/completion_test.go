package main

import (
	"bytes"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host"
)

// output of a command that succeeds.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := run(args, &out, &errOut); code != exitOK || errOut.Len() > 0 {
		t.Fatalf("outrigger %s: exit %d, %s", strings.Join(args, " "), code, errOut.String())
	}
	return out.String()
}

// Every command, setting and flag of a help text is in the scripts and in the manual page.
func TestCompletionAndManAreComplete(t *testing.T) {
	bash, zsh, fish, man := output(t, "completion", "bash"), output(t, "completion", "zsh"), output(t, "completion", "fish"), output(t, "man")
	for _, c := range commands() {
		flags := sorted(c.flags())
		if !strings.Contains(bash, "    "+c.name+`) flags="`+strings.Join(flags, " ")+`"`) || !strings.Contains(zsh, "'"+c.name+":"+c.short+"'") ||
			!strings.Contains(fish, "-a "+c.name+" -d '"+c.short+"'") || !strings.Contains(man, ".SS "+roff(c.name)+"\n") {
			t.Errorf("command %s is missing", c.name)
		}
		if strings.Contains(c.short, "'") || c.short == "" || strings.HasSuffix(c.short, ".") {
			t.Errorf("command %s: found the words %q", c.name, c.short)
		}
		for _, flag := range flags {
			if !strings.Contains(zsh, "'"+flag) || !strings.Contains(fish, "-n '__fish_seen_subcommand_from "+c.name+"' -l "+strings.TrimPrefix(flag, "--")) {
				t.Errorf("flag %s of %s is missing", flag, c.name)
			}
			if flag != "--help" && !strings.Contains(man, roff(flag)) {
				t.Errorf("flag %s of %s is not in the manual page", flag, c.name)
			}
		}
		if c.topic != "" && !strings.HasPrefix(output(t, "help", c.name), c.topic) {
			t.Errorf("outrigger help %s is not its text", c.name)
		}
		if !strings.Contains(usage(), "\n  outrigger "+c.name) {
			t.Errorf("outrigger help has no %s", c.name)
		}
	}
	for _, s := range host.Settings() {
		if !strings.Contains(man, roff(s.Name)) || !strings.Contains(man, s.Env) || !strings.Contains(bash, "--"+s.Flag+" ") {
			t.Errorf("setting %s is missing", s.Name)
		}
	}
}

// bash itself completes what the script says.
func TestCompletionInBash(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("this machine has no bash")
	}
	script := output(t, "completion", "bash")
	for _, c := range []struct {
		words []string // the last one is completed
		want  []string
	}{
		{[]string{"outrigger", "upg"}, []string{"upgrade"}},
		{[]string{"outrigger", "completion", ""}, []string{"bash", "zsh", "fish"}},
		{[]string{"outrigger", "completion", "z"}, []string{"zsh"}},
		{[]string{"outrigger", "plugin", "new", "x", "--lang", "p"}, []string{"python"}},
		{[]string{"outrigger", "run", "--log-level", "w"}, []string{"warn"}},
		{[]string{"outrigger", "run", "--drain-"}, []string{"--drain-delay", "--drain-timeout"}},
		{[]string{"outrigger", "replay", "--carr"}, []string{"--carrier"}},
		{[]string{"outrigger", "run", "--settings", ""}, nil}, // files, by the shell's own means
	} {
		cmd := exec.Command(shell, "-c", script+`
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _outrigger; printf '%s\n' "${COMPREPLY[@]}"`, "bash")
		cmd.Args = append(cmd.Args, c.words...)
		out, err := cmd.CombinedOutput()
		if found := strings.Fields(string(out)); err != nil || !slices.Equal(found, c.want) {
			t.Errorf("%q: found %q, %v; expected %q", c.words, found, err, c.want)
		}
	}
}

// zsh and fish read their scripts, where they are there.
func TestCompletionSyntax(t *testing.T) {
	for _, shell := range []string{"zsh", "fish"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("this machine has no %s", shell)
			continue
		}
		cmd := exec.Command(path, "-n", write(t, "script", output(t, "completion", shell)))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", shell, err, out)
		}
	}
}

// groff formats the manual page without a warning, where it is there.
func TestManPageFormats(t *testing.T) {
	path, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("this machine has no groff")
	}
	cmd := exec.Command(path, "-man", "-Tutf8", "-wall", "-b", write(t, "outrigger.1", output(t, "man")))
	var out, warnings bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &warnings
	if err := cmd.Run(); err != nil || warnings.Len() > 0 {
		t.Errorf("%v: %.2000s", err, warnings.String())
	}
	struck := regexp.MustCompile(".\x08") // what makes bold letters on a typewriter
	if !strings.Contains(struck.ReplaceAllString(out.String(), ""), "drain_delay") {
		t.Errorf("found %d bytes without a setting", out.Len())
	}
}

func TestRoffText(t *testing.T) {
	var b strings.Builder
	roffText(&b, "One line\nand more.\n\nUsage:\n  outrigger x --flag\n  .dot\n\n'quoted' first\n")
	const want = ".PP\nOne line\nand more.\n.PP\nUsage:\n.PP\n.nf\n  outrigger x \\-\\-flag\n  .dot\n.fi\n.PP\n\\&'quoted' first\n"
	if b.String() != want {
		t.Errorf("found\n%s\nexpected\n%s", b.String(), want)
	}
}

func TestWrongCompletions(t *testing.T) {
	for _, args := range [][]string{{"completion"}, {"completion", "csh"}, {"completion", "bash", "zsh"}, {"man", "bash"}, {"upgrade", "now"}, {"upgrade", "--admin"}, {"upgrade"}} {
		var out, errOut bytes.Buffer
		if code := run(args, &out, &errOut); code != exitUsage || out.Len() > 0 || errOut.Len() == 0 {
			t.Errorf("%q: exit %d, %q", args, code, out.String())
		}
	}
}
