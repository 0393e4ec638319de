package entitydiff

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// hidden says which values of an entity are not shown.
type hidden struct {
	fields []string // names of fields of the entity
	root   string   // the field below which names and forms count, such as config; "": there is none
	texts  []string // which no value below root may hold: schemas call them secret, or they came from the environment
	// environment are the texts that came from there, which no value outside of root may hold or be a part of.
	environment []string
	// words in names, below root, of what most likely is a secret.
	words []string
	// forms says that a value below root is not shown either that looks as if somebody had thrown dice for it.
	forms bool
}

// secretFields are the fields of entities whose values are never shown.
var secretFields = map[string][]string{
	"certificates": {"key", "key_alt"}, "keys": {"jwk", "private_pem"}, "keyauth_credentials": {"key"}, "basicauth_credentials": {"password"},
	"hmacauth_credentials": {"secret"}, "jwt_secrets": {"secret", "key"}, "oauth2_credentials": {"client_secret"},
}

// secretOf hides the secret fields of an entity, and what came from the environment. Active checks of an upstream may have to say who they are.
func secretOf(collection string, environment []string) hidden {
	h := hidden{fields: secretFields[collection], environment: environment}
	if collection == "upstreams" {
		h.root, h.texts, h.words = "healthchecks.active.headers", environment, secretWords
	}
	return h
}

// shortest is the length from which on a text from the environment is looked for inside others.
const shortest = 4

// among reports whether a value is one of the texts, holds one, or is a part of one, such as the host of a URL.
func among(v any, texts []string) bool {
	return matches(v, texts, func(v, t string) bool {
		return v == t || len(t) >= shortest && strings.Contains(v, t) || len(v) >= shortest && strings.Contains(t, v)
	})
}

// holds reports whether one of the texts stands in a value.
func holds(v any, texts []string) bool {
	return matches(v, texts, func(v, t string) bool { return t != "" && strings.Contains(v, t) })
}

// hasText reports whether a value is a text or holds one: numbers and booleans beside the name of a secret are none.
func hasText(v any) bool {
	return anyLeaf(v, func(leaf any) bool {
		text, ok := leaf.(string)
		return ok && text != ""
	})
}

// matches reports whether something in a value matches one of the texts, or is a number that is one of them, which may be a password all of digits; short
// ones stand everywhere.
func matches(v any, texts []string, match func(v, text string) bool) bool {
	return anyLeaf(v, func(leaf any) bool {
		switch leaf := leaf.(type) {
		case string:
			return slices.ContainsFunc(texts, func(t string) bool { return match(leaf, t) })
		case json.Number:
			return len(leaf) >= shortest && slices.Contains(texts, leaf.String())
		}
		return false
	})
}

// anyLeaf reports whether a value is such a one, or one inside of it when it is an object or a list.
func anyLeaf(v any, such func(leaf any) bool) bool {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			if anyLeaf(v[key], such) {
				return true
			}
		}
		return false
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return anyLeaf(e, such) })
	}
	return such(v)
}

// secretWords are parts of the names of fields that most likely hold a secret: a schema may have forgotten to say so. guessedWords are those of fields
// that may hold one, of plugins whose schema is not known.
var (
	secretWords  = []string{"password", "passwd", "secret", "token", "api_key", "apikey", "private_key", "credential"}
	guessedWords = append([]string{
		"key", "pass", "pwd", "auth", "cred", "private", "cert", "salt", "sign", "bearer", "cookie", "jwt", "jwk", "dsn", "webhook",
	}, secretWords...)
)

// secretOfConfig hides of a record with a configuration what holds one of the texts, what the names sound like, and what is a secret by its form.
func secretOfConfig(texts, environment []string, schemaKnown bool) hidden {
	h := hidden{root: "config", texts: texts, environment: environment, words: guessedWords, forms: true}
	if schemaKnown {
		h.words, h.forms = secretWords, false
	}
	return h
}

// value reports whether the value of a field is not shown. path is dotted, from the entity on.
func (h *hidden) value(path string, v any) bool {
	if !h.below(path) {
		return slices.Contains(h.fields, path) || among(v, h.environment)
	}
	if _, boolean := v.(bool); boolean {
		return false
	}
	return h.name(path) || holds(v, h.texts) || h.looks(v)
}

// name reports whether a field is not shown because of what it is called, whatever it holds.
func (h *hidden) name(path string) bool {
	if !h.below(path) {
		return slices.Contains(h.fields, path)
	}
	return sounds(strings.TrimPrefix(path, h.root), h.words)
}

// below reports whether names and forms count for a field, as they do in the configuration of a record.
func (h *hidden) below(path string) bool {
	return h.root != "" && (path == h.root || strings.HasPrefix(path, h.root+"."))
}

// sounds reports whether the name of a field, or the path to it, has one of the words in it.
func sounds(name string, words []string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	if last := name[strings.LastIndexByte(name, '.')+1:]; last == "authorization" || last == "proxy_authorization" {
		return true
	}
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(name, word) })
}

// looks reports whether a value is a secret by its form, or has a field below it whose name sounds like one.
func (h *hidden) looks(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, "-----BEGIN ") || withPassword.MatchString(v) || withHeader.MatchString(v) || withAssignment.MatchString(v) || h.forms && drawn(v)
	case map[string]any:
		if named := h.pair(v); named != "" {
			for key, value := range v {
				if key != named && hasText(value) {
					return true
				}
			}
		}
		for key, value := range v {
			if h.looks(value) || sounds(key, h.words) {
				return true
			}
		}
	case []any:
		if len(v) == 2 && h.telling(v[0]) && hasText(v[1]) {
			return true
		}
		return slices.ContainsFunc(v, h.looks)
	}
	return false
}

// nameFields are the fields that name what the other fields of an object hold.
var nameFields = []string{"name", "key", "header", "field", "variable", "parameter", "property", "attribute", "id"}

// pair is the field that names what the others of an object hold, when that is a secret, as in {name: X-Api-Key, value: …}; "" when it is none.
func (h *hidden) pair(m map[string]any) string {
	if len(m) < 2 {
		return ""
	}
	for _, field := range nameFields {
		for key, v := range m {
			if strings.EqualFold(key, field) && h.telling(v) {
				return key
			}
		}
	}
	return ""
}

// telling reports whether a value is a name that sounds like a secret.
func (h *hidden) telling(v any) bool {
	name, ok := v.(string)
	return ok && oneName.MatchString(name) && sounds(name, h.words)
}

var (
	// oneName is a text that may name a header, a variable or a field.
	oneName = regexp.MustCompile(`^[\w.-]{1,64}$`)
	// withPassword is a URL with a user and a password.
	withPassword = regexp.MustCompile(`://[^/?#@\s]*:[^/?#\s]*@`)
	// withHeader is a header with a secret, such as plugins add to requests, alone, in a line or behind a quote; or the value of one.
	withHeader = regexp.MustCompile(`(?im)(^|["'])\s*[\w-]*(authorization|cookie|api[-_]?key|token|secret|password)[\w-]*\s*:\s*\S|^\s*(bearer|basic)\s+[\w+/=.~-]{8,}\s*$`)
	// withAssignment is a secret in a list of settings, in a query, or in JSON: password=x, ?api_key=x, {"token": "x"}.
	withAssignment = regexp.MustCompile(`(?i)(authorization|api[-_]?key|token|secret|passwd|password|pwd)[\w-]*(=[^=\s]|["']\s*:\s*["'])`)
	// drawnWord is a word as programs draw them: long, of one alphabet, without the marks of a path or a host.
	drawnWord = regexp.MustCompile(`^(eyJ[\w.+/=-]+|[\w+/=-]{20,})$`)
)

// drawn reports whether a text looks drawn by a program: a token that begins as those of JSON do, or a long word with small and capital letters and
// digits, or of the digits of hexadecimal numbers.
func drawn(text string) bool {
	if !drawnWord.MatchString(text) || text[0] == '/' {
		return false
	}
	const small, capital, digits = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
	mixed := strings.ContainsAny(text, small) && strings.ContainsAny(text, capital) && strings.ContainsAny(text, digits)
	return strings.HasPrefix(text, "eyJ") || mixed || strings.Trim(text, digits+"abcdefABCDEF") == ""
}
