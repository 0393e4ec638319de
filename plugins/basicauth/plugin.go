// Package basicauth is the plugin basic-auth: it authenticates requests by user name and password (RFC 7617).
package basicauth

import (
	"maps"
	"net/http"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/plugins/internal/identity"
)

// Plugin is basic-auth.
var Plugin = pdk.Plugin{
	Name:          "basic-auth",
	Version:       "0.1.0",
	Priority:      1100,
	Authenticates: true,
	New:           func() any { return &instance{Config: Config{Realm: "service"}} },
}

type instance struct {
	Config
	challenge map[string][]string // the headers of a 401
}

// Configure prepares what every refusal needs.
func (in *instance) Configure() {
	in.challenge = identity.Challenge("Basic", &in.Realm)
}

var unauthorized = &identity.Refusal{Status: http.StatusUnauthorized, Message: "Unauthorized"}

// Access authenticates the request, or falls back to the anonymous consumer.
func (in *instance) Access(k *pdk.PDK) error {
	return identity.Authenticate(k, in.Anonymous, in.challenge, in.authenticate)
}

// authenticate tries one header after the other: the first that names a user decides. Without a refusal the request is authenticated.
func (in *instance) authenticate(k *pdk.PDK) (*identity.Refusal, error) {
	lastPassword := ""
	for _, header := range [...]string{"Proxy-Authorization", "Authorization"} {
		user, password, ok, err := in.take(k, header)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		credential, err := k.Client.LoadCredential("basicauth_credentials", user)
		if err != nil {
			return identity.HostFailure(k, "loading the credential", err)
		}
		if credential == nil {
			lastPassword = password
			continue
		}
		stored, _ := credential.Fields["password"].(string)
		if !verify(stored, password, credential.ConsumerID) {
			return unauthorized, nil
		}
		return identity.Accept(k, withoutPassword(credential), user)
	}
	verify(nobodysPassword, lastPassword, nobody) // an unknown user takes as long as a wrong password
	return unauthorized, nil
}

// take reads user name and password from a header and, with hide_credentials, removes it from the request.
func (in *instance) take(k *pdk.PDK, header string) (user, password string, ok bool, err error) {
	value, present := k.Request.GetHeader(header)
	if !present {
		return "", "", false, nil
	}
	if in.HideCredentials {
		if err := k.ServiceRequest.ClearHeader(header); err != nil {
			return "", "", false, err
		}
	}
	user, password, ok = parse(value)
	return user, password, ok, nil
}

// withoutPassword is what the plugins that follow see.
func withoutPassword(c *pdk.Credential) *pdk.Credential {
	fields := maps.Clone(c.Fields)
	delete(fields, "password")
	return &pdk.Credential{ID: c.ID, ConsumerID: c.ConsumerID, Fields: fields}
}
