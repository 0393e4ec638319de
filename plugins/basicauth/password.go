package basicauth

import (
	"crypto/sha1" // the form in which Kong keeps passwords
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// parse reads the value of an Authorization header: "Basic" or "basic", spaces, and the base64 of user name, colon and password, with or without
// padding. The password may hold colons or be empty; the user name may not.
func parse(value string) (user, password string, ok bool) {
	value = strings.Trim(value, " \t")
	encoded, ok := strings.CutPrefix(value, "Basic")
	if !ok {
		encoded, ok = strings.CutPrefix(value, "basic")
	}
	token := strings.TrimLeft(encoded, " \t")
	if !ok || len(token) == len(encoded) {
		return "", "", false
	}
	encoding := base64.RawStdEncoding
	if strings.HasSuffix(token, "=") {
		encoding = base64.StdEncoding
	}
	pair, err := encoding.DecodeString(token)
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(pair), ":")
	if !ok || user == "" || !utf8.ValidString(user) {
		return "", "", false
	}
	return user, password, true
}

// What an unknown user's password is compared with.
const (
	nobody          = "00000000-0000-0000-0000-000000000000"
	nobodysPassword = "0000000000000000000000000000000000000000"
)

// verify compares a password with its stored form, the hex SHA-1 of the password followed by the consumer's id, in constant time.
func verify(stored, password, consumerID string) bool {
	given := sha1.Sum([]byte(password + consumerID))
	want, err := hex.DecodeString(stored)
	return err == nil && subtle.ConstantTimeCompare(given[:], want) == 1
}
