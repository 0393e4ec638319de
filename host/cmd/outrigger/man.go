package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/outrigger-gateway/outrigger/host"
)

// manCommand is outrigger man: the manual page outrigger(1), of the same texts as the help.
func manCommand(args []string, out, errOut io.Writer) int {
	if len(args) > 0 {
		fmt.Fprintf(errOut, "outrigger man: found %q, expected nothing\nSee: outrigger help\n", args[0])
		return exitUsage
	}
	fmt.Fprint(out, manPage())
	return exitOK
}

// Signals of a gateway, and what they do.
func signals() [][2]string {
	return [][2]string{
		{"SIGINT, SIGTERM", "Finish the requests in flight and end; the second one ends at once."},
		{"SIGHUP", "Read the entities and the plugin servers of the settings again, and open log files anew."},
		{"SIGUSR1", "Open log files anew, and nothing else: for whoever rotates them."},
		{"SIGUSR2", "Start the program again and hand the listeners over: outrigger upgrade."},
	}
}

// exitCodes and what they say. Commands that have more name them.
func exitCodes() [][2]string {
	return [][2]string{
		{"0", "Everything went well."},
		{"1", "The configuration is wrong, or something could not be started or ended."},
		{"2", "The command line is wrong."},
		{"3", "What the help of the command says."},
	}
}

func manPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH OUTRIGGER 1 \"\" \"outrigger %s\" \"Outrigger\"\n", host.Version)
	b.WriteString(".SH NAME\noutrigger \\- API gateway and host of plugins that run in other processes\n.SH SYNOPSIS\n.nf\n")
	for _, c := range commands() {
		for _, line := range c.synopsis {
			fmt.Fprintf(&b, "\\fBoutrigger %s\\fR %s\n", roff(c.name), roff(line))
		}
	}
	b.WriteString(".fi\n.SH DESCRIPTION\n")
	roffText(&b, ending)
	b.WriteString(".SH COMMANDS\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, ".SS %s\n", roff(c.name))
		text := c.topic
		if text == "" {
			text = c.about
		}
		if text == "" {
			text = c.name + " " + c.short + "."
		}
		roffText(&b, text)
	}
	b.WriteString(".SH SETTINGS\nA flag wins over a variable, a variable over the settings file, the file over the default.\n")
	for _, s := range host.Settings() {
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR (%s)\n%s\n.br\n\\fB\\-\\-%s\\fR, \\fB%s\\fR\n", roff(s.Name), roff(s.Type+unless(s.Default)), roff(s.Doc), roff(s.Flag), s.Env)
		for _, f := range s.Fields {
			fmt.Fprintf(&b, ".RS\n.TP\n\\fB%s\\fR (%s)\n%s\n.RE\n", roff(f.Name), roff(f.Type+unless(f.Default)), roff(f.Doc))
		}
	}
	for _, section := range []struct {
		name string
		rows [][2]string
	}{{"SIGNALS", signals()}, {"EXIT STATUS", exitCodes()}} {
		fmt.Fprintf(&b, ".SH %s\n", section.name)
		for _, row := range section.rows {
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fR\n%s\n", roff(row[0]), roff(row[1]))
		}
	}
	b.WriteString(".SH ENVIRONMENT\n.TP\n\\fBOUTRIGGER_SETTINGS\\fR\nThe settings file, where no flag names one. Every setting has a variable of its own, too.\n")
	return b.String()
}

// roff is a text in which nothing has a meaning of its own.
func roff(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r > unicode.MaxASCII:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	text = b.String()
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// roffText writes a text of the help: paragraphs are filled, lines that are indented stay as they are.
func roffText(b *strings.Builder, text string) {
	literal := false
	set := func(on bool) {
		if on && !literal {
			b.WriteString(".PP\n.nf\n")
		} else if literal && !on {
			b.WriteString(".fi\n")
		}
		literal = on
	}
	fresh := true // a paragraph begins
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			set(false)
			fresh = true
			continue
		}
		indented := strings.HasPrefix(line, "  ")
		if fresh && !indented {
			b.WriteString(".PP\n")
		}
		set(indented)
		b.WriteString(roff(line) + "\n")
		fresh = false
	}
	set(false)
}
