package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/dialect"
	"github.com/outrigger-gateway/outrigger/host/internal/entitydiff"
	"github.com/outrigger-gateway/outrigger/host/internal/lastgood"
)

const configUsage = `outrigger config works on declarative files: Kong's format and decK's, versions 1.1, 2.1 and 3.0, YAML and JSON.

Usage:
  outrigger config fmt FILE... [--write | --check]
  outrigger config convert FILE [--to kong|deck] [--json | --yaml] [--output FILE]
  outrigger config diff OLD.yaml NEW.yaml [--settings outrigger.yaml] [--offline] [--json]
  outrigger config diff NEW.yaml [--admin ADDRESS] [--settings outrigger.yaml] [--json]
  outrigger config restore [HASH] [--list] [--output FILE] [--settings outrigger.yaml]

FILE may be -, which is the standard input.

fmt prints a file in one form: fields in the order of their importance, two spaces for each level, comments where they were. It changes no meaning, and
the order of entities stays. --write writes the files instead of printing them. --check prints the names of the files that fmt would change and ends
with exit code 3 if there are any.

convert prints a file in format 3.0, in the dialect of --to: for Kong without _info, _plugin_configs and groups inside consumers, for decK with
everything inside what it belongs to. What the other dialect cannot say is noted on standard error. ${{ env … }} stays as it is.

diff compares entity by entity: where something stands in a file, in which order and in which dialect does not count. With one file it compares with
what is live in a running gateway, which is asked at --admin, or at admin_listen of the settings. Secrets are compared and not shown. With two files the
plugin servers of the settings are started and asked which fields of their plugins are secret, unless --offline is given; where nobody says it, names
such as password and key do, and looks, and a note tells so. Exit code 0: nothing is different; 3: something is.

restore puts a configuration that was live back into the file of declarative_config, or of --output: the newest one in state_dir, or the newest whose
hash begins with HASH. What the file held is kept beside it. The gateway takes it at its next SIGHUP. --list prints what there is.
`

// configCommand is outrigger config.
func configCommand(args []string, out, errOut io.Writer) int {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") || len(args) == 0 {
		fmt.Fprint(out, configUsage)
		return exitOK
	}
	words := map[string]func(args []string, out, errOut io.Writer) error{
		"fmt": configFmt, "convert": configConvert, "diff": configDiff, "restore": configRestore,
	}
	run := words[args[0]]
	if run == nil {
		fmt.Fprintf(errOut, "outrigger config: unknown word %q; expected fmt, convert, diff or restore\nSee: outrigger help config\n", args[0])
		return exitUsage
	}
	err := run(args[1:], out, errOut)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errDiffers):
		return exitDiffers
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "outrigger config %s: %v\nSee: outrigger help config\n", args[0], err)
		return exitUsage
	}
	return failAs(args[0] == "diff" && slices.Contains(args, "--json"), out, errOut, err)
}

// errDiffers ends a command with exitDiffers.
var errDiffers = errors.New("something is different")

// filesOnly refuses flags that nobody took.
func filesOnly(args []string) error {
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") && arg != "-" {
			return wrongUsage("unknown flag %s", arg)
		}
	}
	return nil
}

// readDocument reads a file, or the standard input.
func readDocument(file string) (config.Source, error) {
	if file == "-" {
		data, err := io.ReadAll(os.Stdin)
		return config.Source{Name: "standard input", Data: data, Env: os.Environ()}, wrapped("reading the standard input", err)
	}
	return config.ReadSource(file, os.Environ())
}

func wrapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// configFmt is outrigger config fmt.
func configFmt(args []string, out, _ io.Writer) error {
	write, args := take(args, "--write")
	check, files := take(args, "--check")
	switch err := filesOnly(files); {
	case err != nil:
		return err
	case write && check:
		return wrongUsage("found --write beside --check, expected one of them")
	case len(files) == 0:
		return wrongUsage("found no file, expected at least one")
	case write && slices.Contains(files, "-"):
		return wrongUsage("found --write with the standard input, expected files")
	}
	differs := false
	for _, file := range files {
		source, err := readDocument(file)
		if err != nil {
			return err
		}
		text, err := dialect.Format(source.Name, source.Data)
		if err != nil {
			return err
		}
		same := bytes.Equal(text, source.Data)
		switch {
		case check && !same:
			differs = true
			fmt.Fprintln(out, file)
		case write && !same:
			if err := lastgood.WriteFile(file, text, 0o600); err != nil {
				return fmt.Errorf("writing %s: %w", file, err)
			}
		case !check && !write:
			if _, err := out.Write(text); err != nil {
				return err
			}
		}
	}
	if differs {
		return errDiffers
	}
	return nil
}

// configConvert is outrigger config convert.
func configConvert(args []string, out, errOut io.Writer) error {
	to, args, err := takeValue(args, "--to")
	if err != nil {
		return err
	}
	output, args, err := takeValue(args, "--output")
	if err != nil {
		return err
	}
	asJSON, args := take(args, "--json")
	asYAML, files := take(args, "--yaml")
	switch err := filesOnly(files); {
	case err != nil:
		return err
	case to != "" && to != dialect.Kong && to != dialect.Deck:
		return wrongUsage("--to: found %q, expected kong or deck", to)
	case asJSON && asYAML:
		return wrongUsage("found --json beside --yaml, expected one of them")
	case len(files) != 1:
		return wrongUsage("found %d files, expected one", len(files))
	}
	source, err := readDocument(files[0])
	if err != nil {
		return err
	}
	if first := bytes.TrimLeft(source.Data, " \t\r\n"); !asYAML && !asJSON {
		asJSON = len(first) > 0 && first[0] == '{' && json.Valid(source.Data)
	}
	text, notes, err := dialect.Convert(source.Name, source.Data, dialect.Options{To: to, JSON: asJSON})
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(errOut, "note: "+n)
	}
	if output != "" {
		return wrapped("writing the converted document", lastgood.WriteFile(output, text, 0o600))
	}
	_, err = out.Write(text)
	return err
}

// configDiff is outrigger config diff.
func configDiff(args []string, out, errOut io.Writer) error {
	asJSON, args := take(args, "--json")
	offline, args := take(args, "--offline")
	admin, args, err := takeValue(args, "--admin")
	if err != nil {
		return err
	}
	o, files, ok := arguments("config diff", args, errOut)
	if !ok {
		return wrongUsage("the flags are wrong")
	}
	var d *entitydiff.Diff
	switch {
	case len(files) == 2 && admin == "":
		d, err = diffFiles(o, files[0], files[1], offline)
	case len(files) == 1 && offline:
		return wrongUsage("found --offline with one file, which is compared with a running gateway, expected two files")
	case len(files) == 1:
		admin, err = adminAddress(admin, o)
		switch {
		case errors.Is(err, errNoAdmin):
			return wrongUsage("found one file and no Admin listener in the settings, expected two files, --admin host:port or unix:///path, or admin_listen in the file of --settings")
		case err != nil:
			return err
		}
		d, err = diffLive(admin, files[0])
	default:
		return wrongUsage("found %d files, expected two, or one to compare with a running gateway", len(files))
	}
	if err != nil {
		return err
	}
	write := d.Text
	if asJSON {
		write = func(w io.Writer) error { return writeJSON(w, d) }
	}
	if err := write(out); err != nil {
		return fmt.Errorf("writing the difference: %w", err)
	}
	if d.Differs {
		return errDiffers
	}
	return nil
}

func diffFiles(o host.Options, before, after string, offline bool) (*entitydiff.Diff, error) {
	from, err := readDocument(before)
	if err != nil {
		return nil, err
	}
	to, err := readDocument(after)
	if err != nil {
		return nil, err
	}
	h, err := host.New(o)
	if err != nil {
		return nil, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return h.DiffEntities(ctx, from, to, offline)
}

// diffLive asks a running gateway.
func diffLive(admin, file string) (*entitydiff.Diff, error) {
	source, err := readDocument(file)
	if err != nil {
		return nil, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/config/diff?name="+url.QueryEscape(source.Name), bytes.NewReader(source.Data))
	if err != nil {
		return nil, err
	}
	resp, err := adminClient(admin).Do(req)
	if err != nil {
		return nil, notAsked(admin, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer of the Admin listener at %s: %w", admin, err)
	}
	if resp.StatusCode != http.StatusOK {
		var answer struct{ Message string }
		if err := json.Unmarshal(text, &answer); err != nil || answer.Message == "" {
			return nil, fmt.Errorf("found status %d and %.200q at %s, expected the JSON of an Admin listener", resp.StatusCode, text, admin)
		}
		return nil, errors.New(answer.Message)
	}
	d := &entitydiff.Diff{}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("found %.200q at %s, expected the JSON of a difference: %w", text, admin, err)
	}
	return d, nil
}

// configRestore is outrigger config restore.
func configRestore(args []string, out, errOut io.Writer) error {
	list, args := take(args, "--list")
	output, args, err := takeValue(args, "--output")
	if err != nil {
		return err
	}
	o, words, ok := arguments("config restore", args, errOut)
	switch {
	case !ok:
		return wrongUsage("the flags are wrong")
	case len(words) > 1 || list && len(words)+len(output) > 0:
		return wrongUsage("found %q, expected one hash at most, and nothing beside --list", strings.Join(words, " "))
	}
	h, err := host.New(o)
	if err != nil {
		return err
	}
	if h.StateDir() == "" {
		return wrongUsage("found no state_dir in the settings, expected the directory with the configurations that were live: --state-dir or the file of --settings")
	}
	if list {
		kept, err := h.KeptConfigurations()
		for _, k := range kept {
			fmt.Fprintf(out, "%s  %s\n", k.Hash, k.Time.UTC().Format(time.RFC3339))
		}
		return err
	}
	if output == "" {
		output = h.DeclarativeConfig()
	}
	if output == "" {
		return wrongUsage("found no declarative_config in the settings, expected the file to write: --output or --config")
	}
	hash := ""
	if len(words) == 1 {
		hash = strings.ToLower(words[0])
	}
	kept, before, err := h.Restore(hash, output)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s holds the configuration %s that became live on %s\n", output, kept.Hash, kept.Time.UTC().Format(time.RFC3339))
	if before.Path != "" {
		fmt.Fprintf(out, "what it held before is in %s\n", before.Path)
	}
	for _, removed := range before.Removed {
		fmt.Fprintf(out, "removed %s, which was older than the %d that are kept\n", removed, lastgood.Most)
	}
	return nil
}
