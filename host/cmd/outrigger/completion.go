package main

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host"
)

const completionUsage = `outrigger completion prints what makes a shell complete commands, flags and their values.

Usage:
  outrigger completion bash|zsh|fish

  bash   outrigger completion bash > /etc/bash_completion.d/outrigger
  zsh    outrigger completion zsh > "${fpath[1]}/_outrigger"
  fish   outrigger completion fish > ~/.config/fish/completions/outrigger.fish

For this shell alone: source <(outrigger completion bash), or zsh; outrigger completion fish | source.
`

// shells are those that there is a script for.
func shells() []string { return []string{"bash", "zsh", "fish"} }

// completionCommand is outrigger completion.
func completionCommand(args []string, out, errOut io.Writer) int {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		fmt.Fprint(out, completionUsage)
		return exitOK
	}
	if len(args) == 1 {
		switch args[0] {
		case "bash":
			fmt.Fprint(out, bashScript())
			return exitOK
		case "zsh":
			fmt.Fprint(out, zshScript())
			return exitOK
		case "fish":
			fmt.Fprint(out, fishScript())
			return exitOK
		}
	}
	found := "no shell"
	if len(args) > 0 {
		found = fmt.Sprintf("%q", strings.Join(args, " "))
	}
	fmt.Fprintf(errOut, "outrigger completion: found %s, expected one of %s\nSee: outrigger help completion\n", found, strings.Join(shells(), ", "))
	return exitUsage
}

var flagInText = regexp.MustCompile(`--[a-z]+(-[a-z]+)*`)

// flags are those of a command with what they are for, if that is known: those in its help, and those of the settings.
func (c command) flags() map[string]string {
	all := map[string]string{"--help": "print the help"}
	for _, text := range append(slices.Clone(c.synopsis), c.topic) {
		for _, flag := range flagInText.FindAllString(text, -1) {
			all[flag] = ""
		}
	}
	if c.settings {
		all["--settings"] = "file with the settings"
		for _, s := range host.Settings() {
			all["--"+s.Flag] = s.Doc
		}
	}
	return all
}

// following are the words that may follow the name of a command.
func (c command) following() []string {
	if c.name != "help" {
		return c.words
	}
	list := []string{"settings"}
	for _, other := range commands() {
		list = append(list, other.name)
	}
	return list
}

// values says what follows a flag: the words that it takes, or none for a file or a directory. Other flags are not in it.
func values() map[string][]string {
	all := map[string][]string{
		"--settings": nil, "--body": nil, "--results": nil, "--profiles": nil, "--cache": nil, "--dir": nil, "--output": nil,
		"--lang": {"go", "python", "js", "ts"}, "--carrier": {"msgpack", "grpc"}, "--to": {"kong", "deck"},
	}
	for _, s := range host.Settings() {
		list, words := strings.CutPrefix(s.Type, "one of ")
		switch {
		case words:
			all["--"+s.Flag] = strings.Split(list, ", ")
		case s.Type == "on or off":
			all["--"+s.Flag] = []string{"on", "off"}
		case s.Type == "path":
			all["--"+s.Flag] = nil
		}
	}
	return all
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// bashScript completes with files where it knows nothing better.
func bashScript() string {
	var b strings.Builder
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	fmt.Fprintf(&b, `# Completion of outrigger for bash; made by: outrigger completion bash
_outrigger() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} flags="" words=""
    COMPREPLY=()
    case $prev$cur in # --flag=value is three words
    =*) prev=${COMP_WORDS[COMP_CWORD-2]} ;;
    -*=) prev=${COMP_WORDS[COMP_CWORD-1]} cur="" ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "%s" -- "$cur"))
        return
    fi
    case $prev in
`, strings.Join(names, " "))
	takes := values()
	for _, flag := range sorted(takes) {
		if words := takes[flag]; words != nil {
			fmt.Fprintf(&b, "    %s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n", flag, strings.Join(words, " "))
		} else {
			fmt.Fprintf(&b, "    %s) return ;;\n", flag)
		}
	}
	b.WriteString("    esac\n    case ${COMP_WORDS[1]} in\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "    %s) flags=\"%s\" words=\"%s\" ;;\n", c.name, strings.Join(sorted(c.flags()), " "), strings.Join(c.following(), " "))
	}
	b.WriteString(`    esac
    case $cur in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$cur")); return ;;
    esac
    if [ "$COMP_CWORD" -eq 2 ]; then
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
    fi
}
complete -o bashdefault -o default -F _outrigger outrigger
`)
	return b.String()
}

// quoted is a text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func zshScript() string {
	var b strings.Builder
	b.WriteString(`#compdef outrigger
# Completion of outrigger for zsh; made by: outrigger completion zsh
_outrigger() {
    local -a list
    if (( CURRENT == 2 )); then
        list=(
`)
	for _, c := range commands() {
		fmt.Fprintf(&b, "            %s\n", quoted(c.name+":"+c.short))
	}
	b.WriteString("        )\n        _describe command list\n        return\n    fi\n    case ${words[CURRENT-1]} in\n")
	takes := values()
	for _, flag := range sorted(takes) {
		if words := takes[flag]; words != nil {
			fmt.Fprintf(&b, "    %s) compadd %s; return ;;\n", flag, strings.Join(words, " "))
		} else {
			fmt.Fprintf(&b, "    %s) _files; return ;;\n", flag)
		}
	}
	b.WriteString("    esac\n    if [[ ${words[CURRENT]} == -* ]]; then\n        case ${words[2]} in\n")
	for _, c := range commands() {
		flags := c.flags()
		fmt.Fprintf(&b, "        %s)\n            list=(\n", c.name)
		for _, flag := range sorted(flags) {
			fmt.Fprintf(&b, "                %s\n", quoted(strings.TrimSuffix(flag+":"+strings.ReplaceAll(flags[flag], ":", `\:`), ":")))
		}
		b.WriteString("            ) ;;\n")
	}
	b.WriteString("        esac\n        _describe -o flag list\n        return\n    fi\n    if (( CURRENT == 3 )); then\n        case ${words[2]} in\n")
	for _, c := range commands() {
		if words := c.following(); len(words) > 0 {
			fmt.Fprintf(&b, "        %s) compadd %s; return ;;\n", c.name, strings.Join(words, " "))
		}
	}
	b.WriteString(`        esac
    fi
    _files
}
if [ "$funcstack[1]" = _outrigger ]; then
    _outrigger "$@"
else
    compdef _outrigger outrigger
fi
`)
	return b.String()
}

func fishScript() string {
	var b strings.Builder
	b.WriteString(`# Completion of outrigger for fish; made by: outrigger completion fish
function __outrigger_command -d 'the command is this one'
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = $argv[1]
end
function __outrigger_first -d 'the first word behind the command is completed'
    test (count (commandline -opc)) -eq 2; and __outrigger_command $argv[1]
end
`)
	takes := values()
	for _, c := range commands() {
		fmt.Fprintf(&b, "complete -c outrigger -n 'test (count (commandline -opc)) -eq 1' -f -a %s -d %s\n", c.name, fishQuoted(c.short))
	}
	for _, c := range commands() {
		within := "complete -c outrigger -n '__outrigger_command " + c.name + "'"
		if words := c.following(); len(words) > 0 {
			fmt.Fprintf(&b, "complete -c outrigger -n '__outrigger_first %s' -f -a %s\n", c.name, fishQuoted(strings.Join(words, " ")))
		}
		flags := c.flags()
		for _, flag := range sorted(flags) {
			line := within + " -l " + strings.TrimPrefix(flag, "--")
			if words, known := takes[flag]; known && words != nil {
				line += " -x -a " + fishQuoted(strings.Join(words, " "))
			} else if known {
				line += " -r -F"
			}
			if doc := flags[flag]; doc != "" {
				line += " -d " + fishQuoted(doc)
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// fishQuoted is a text as one word of fish, where a quote is escaped inside quotes.
func fishQuoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
