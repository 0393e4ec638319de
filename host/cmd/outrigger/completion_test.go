package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
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
			if !strings.Contains(zsh, "'"+flag) || !strings.Contains(fish, "-n '__outrigger_command "+c.name+"' -l "+strings.TrimPrefix(flag, "--")) {
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

// completions are lines, of which the last word is completed, and what comes of it in a directory with the files zebra and outrigger.yaml.
var completions = []struct {
	line string
	want []string
}{
	{"outrigger upg", []string{"upgrade"}},
	{"outrigger completion ", []string{"bash", "zsh", "fish"}}, // and no files
	{"outrigger completion z", []string{"zsh"}},
	{"outrigger plugin new x --lang p", []string{"python"}},
	{"outrigger run --log-level w", []string{"warn"}},
	{"outrigger run --drain-", []string{"--drain-delay", "--drain-timeout"}},
	{"outrigger replay --carr", []string{"--carrier"}},
	{"outrigger config fm", []string{"fmt"}},
	{"outrigger config convert x --to d", []string{"deck"}},
	{"outrigger config convert x --output ze", []string{"zebra"}},
	{"outrigger help upg", []string{"upgrade"}},
	{"outrigger check --settings outr", []string{"outrigger.yaml"}},
}

// completing runs a shell in such a directory; nil: it is not there.
func completing(t *testing.T, shell string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skip("this machine has no " + shell)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = patience // a shell of the shell may have its output
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "TERM=dumb", "XDG_CONFIG_HOME="+cmd.Dir, "XDG_DATA_HOME="+t.TempDir(), "LC_ALL=C")
	for _, name := range []string{"zebra", "outrigger.yaml"} {
		if err := os.WriteFile(filepath.Join(cmd.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", shell, err, out)
	}
	return out
}

// compare looks at what a shell said: a line for each completion.
func compare(t *testing.T, out []byte) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(completions) {
		t.Fatalf("found %d lines, expected %d:\n%s", len(lines), len(completions), out)
	}
	for i, c := range completions {
		if found := strings.Fields(lines[i]); !slices.Equal(slices.Sorted(slices.Values(found)), slices.Sorted(slices.Values(c.want))) {
			t.Errorf("%q: found %q, expected %q", c.line, found, c.want)
		}
	}
}

func TestCompletionInBash(t *testing.T) {
	script := write(t, "complete", output(t, "completion", "bash")+`
for line; do
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _outrigger
    if [ ${#COMPREPLY[@]} -eq 0 ]; then # as -o default does
        COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
    fi
    echo "${COMPREPLY[@]}"
done
COMP_WORDS=(outrigger run --log-level = w) COMP_CWORD=4; _outrigger; echo "${COMPREPLY[@]}"
COMP_WORDS=(outrigger run --log-format =) COMP_CWORD=3; _outrigger; echo "${COMPREPLY[@]}"
`)
	args := []string{script}
	for _, c := range completions {
		args = append(args, c.line)
	}
	out, rest, _ := bytes.Cut(completing(t, "bash", args...), []byte("outrigger.yaml\n"))
	compare(t, append(out, "outrigger.yaml\n"...))
	if string(rest) != "warn\ntext json\n" {
		t.Errorf("--flag=value: found %q", rest)
	}
}

func TestCompletionInZsh(t *testing.T) {
	program, err := filepath.Abs("testdata/complete.zsh")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-f", program, write(t, "_outrigger", output(t, "completion", "zsh"))}
	for _, c := range completions {
		args = append(args, c.line)
	}
	compare(t, completing(t, "zsh", args...))
}

func TestCompletionInFish(t *testing.T) {
	program := "source " + write(t, "outrigger.fish", output(t, "completion", "fish")) + "\n"
	for _, c := range completions {
		program += "echo (complete -C '" + c.line + "' | string split -f 1 \\t)\n"
	}
	compare(t, completing(t, "fish", "-c", program))
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
		if args[0] == "completion" && !strings.Contains(errOut.String(), "expected one of bash, zsh, fish\n") {
			t.Errorf("%q: found %q", args, errOut.String())
		}
	}
}
