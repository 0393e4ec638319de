package local

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

const (
	referenceBegin = "{vault://"
	referenceEnd   = "}"
	// refs is the key of vault.update under which the references stand.
	refs = "$refs"
)

// IsReference reports whether a text looks like a reference to a secret.
func IsReference(text string) bool {
	return len(text) > len(referenceBegin)+len(referenceEnd) && strings.HasPrefix(text, referenceBegin) && strings.HasSuffix(text, referenceEnd)
}

// ParseReference takes a reference apart. What it refuses it does not show: somebody may have taken a secret for a reference.
func ParseReference(text string) (pdk.Reference, error) {
	var r pdk.Reference
	if !IsReference(text) {
		return r, errors.New("the text is no reference; expected {vault://name/resource}")
	}
	rest := text[len(referenceBegin) : len(text)-len(referenceEnd)]
	rest, fragment, hasFragment := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	name, path, _ := strings.Cut(rest, "/")
	if !isVaultName(name) {
		return r, fmt.Errorf("the vault's name is %q; expected a letter, then letters, digits and dashes, in lower case", name)
	}
	resource, key := path, ""
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		resource, key = path[:i], path[i+1:]
	}
	if resource == "" {
		return r, errors.New("the reference names no resource; expected {vault://name/resource}")
	}
	r = pdk.Reference{Name: name, Resource: decodeTriplets(resource), Key: decodeTriplets(key), Config: map[string]string{}}
	for {
		option, value, _, after, ok := nextArg(query)
		if !ok {
			break
		}
		r.Config[DecodeQuery(option)] = DecodeQuery(value)
		query = after
	}
	if hasFragment {
		version, err := strconv.ParseUint(fragment, 10, 31)
		if err != nil {
			return pdk.Reference{}, fmt.Errorf("the version is %q; expected digits", fragment)
		}
		r.Version = int(version)
	}
	return r, nil
}

// isVaultName reports whether a name is [a-z][a-z0-9-]*.
func isVaultName(name string) bool {
	for i := range len(name) {
		if c := name[i]; !('a' <= c && c <= 'z' || i > 0 && (c == '-' || '0' <= c && c <= '9')) {
			return false
		}
	}
	return name != ""
}

// decodeTriplets decodes %XX and nothing else.
func decodeTriplets(s string) string { return DecodeQuery(strings.ReplaceAll(s, "+", "%2B")) }

// VaultIsReference implements pdk.Backend.
func (h *handle) VaultIsReference(text string) bool {
	s := h.read(pdk.FnVaultIsReference)
	if s == nil {
		return false
	}
	defer s.mu.Unlock()
	return IsReference(text)
}

// VaultParseReference implements pdk.Backend.
func (h *handle) VaultParseReference(text string) (pdk.Reference, error) {
	s, err := h.begin(pdk.FnVaultParseReference)
	if err != nil {
		return pdk.Reference{}, err
	}
	defer s.mu.Unlock()
	r, err := ParseReference(text)
	if err != nil {
		return r, dataError(pdk.FnVaultParseReference, err)
	}
	return r, nil
}

// VaultGet implements pdk.Backend.
func (h *handle) VaultGet(text string) (string, error) {
	const fn = pdk.FnVaultGet
	s, err := h.begin(fn)
	if err != nil {
		return "", err
	}
	defer s.mu.Unlock()
	if _, err := ParseReference(text); err != nil {
		return "", dataError(fn, err)
	}
	secret, found, err := h.askText(s, fn, text)
	if err == nil && !found {
		err = strangeAnswer(fn, errors.New("found null, expected text"))
	}
	return secret, err
}

// VaultUpdate implements pdk.Backend.
func (h *handle) VaultUpdate(options map[string]any) (map[string]any, error) {
	const fn = pdk.FnVaultUpdate
	if options == nil {
		options = map[string]any{}
	}
	raw, encodeErr := encodeValue(options)
	s, err := h.begin(fn)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if encodeErr != nil {
		return nil, argError(fn, encodeErr)
	}
	plain, err := decodeMap(raw)
	if err != nil {
		return nil, argError(fn, err)
	}
	if given, has := plain[refs]; has {
		if err := checkRefs(given); err != nil {
			return nil, argError(fn, err)
		}
	}
	return h.askMap(s, fn, plain)
}

func checkRefs(given any) error {
	fields, ok := given.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is a %T; expected a map of texts", refs, given)
	}
	for name, v := range fields {
		if _, isText := v.(string); !isText {
			return fmt.Errorf("%s: %q is a %T; expected a reference", refs, name, v)
		}
	}
	return nil
}
