package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// environment is the vault env. The option prefix stands in front of the name; version 2 is the variable with _PREVIOUS behind it.
type environment map[string]string

func newEnvironment(env []string) environment {
	variables := make(environment, len(env))
	for _, entry := range env {
		if name, value, ok := strings.Cut(entry, "="); ok {
			variables[name] = value
		}
	}
	return variables
}

// Get implements Provider.
func (e environment) Get(options map[string]string, ref pdk.Reference) (string, error) {
	name := strings.ToUpper(strings.ReplaceAll(options["prefix"]+ref.Resource, "-", "_"))
	switch ref.Version {
	case 0, 1:
	case 2:
		name += "_PREVIOUS"
	default:
		return "", fmt.Errorf("found version %d; expected 1, or 2 for the one before", ref.Version)
	}
	value, ok := e[name]
	if !ok {
		return "", fmt.Errorf("there is no environment variable %s", name)
	}
	return value, nil
}

// optionDirectory is where the vault file has its files. Only a vault of the configuration can say it.
const optionDirectory = "directory"

// longestSecret is what a file with a secret may hold, in bytes.
const longestSecret = 1 << 20

// files is the vault file: a file for each secret below a directory, as container platforms mount them. A line break at the end is not part of
// the secret. Nothing outside the directory can be reached, also not over symbolic links.
type files struct{}

// Get implements Provider.
func (files) Get(options map[string]string, ref pdk.Reference) (string, error) {
	directory := options[optionDirectory]
	if directory == "" {
		return "", errors.New("the vault has no directory; expected a vault of type file in the configuration, with config.directory")
	}
	if ref.Version != 0 {
		return "", fmt.Errorf("found version %d; files have none", ref.Version)
	}
	name := options["prefix"] + ref.Resource
	root, err := os.OpenRoot(directory)
	if err != nil {
		return "", fmt.Errorf("opening the directory of the vault: %w", err)
	}
	defer root.Close()
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no file %q in %s", name, directory)
	}
	if err != nil {
		return "", fmt.Errorf("opening the secret: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return "", fmt.Errorf("%q in %s is not a regular file", name, directory)
	}
	text, err := io.ReadAll(io.LimitReader(f, longestSecret+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the secret: %w", err)
	case len(text) > longestSecret:
		return "", fmt.Errorf("the file %q holds more than 1 MiB", name)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// seconds is a time among the options; absent when it is not said or is no whole number from 0 up.
func seconds(options map[string]string, name string, absent time.Duration) time.Duration {
	n, err := strconv.ParseUint(options[name], 10, 27)
	if err != nil {
		return absent
	}
	return time.Duration(n) * time.Second
}

// field is one field of a secret that is a JSON object.
func field(secret, key string) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(secret), &fields); err != nil {
		return "", fmt.Errorf("the secret is not a JSON object, so that it has no key %q", key) // the decoder's words may show a part of it
	}
	raw, ok := fields[key]
	var text string
	switch {
	case !ok || string(raw) == "null":
		return "", fmt.Errorf("the secret has no key %q", key)
	case raw[0] == '{' || raw[0] == '[':
		return "", fmt.Errorf("the key %q of the secret is not a plain value", key)
	case json.Unmarshal(raw, &text) == nil:
		return text, nil
	}
	return string(raw), nil // a number, true or false
}
