// Package keyauth is the plugin key-auth: it authenticates requests by a key in a header, a query argument or a body field.
package keyauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/plugins/internal/fields"
)

// Plugin is key-auth.
var Plugin = pdk.Plugin{
	Name:          "key-auth",
	Version:       "0.1.0",
	Priority:      1250,
	Authenticates: true,
	New: func() any {
		return &instance{Config: Config{KeyNames: []string{"apikey"}, KeyInHeader: true, KeyInQuery: true, RunOnPreflight: true}}
	},
}

type instance struct {
	Config
	challenge map[string][]string // the headers of a 401
}

// Configure prepares what every refusal needs.
func (in *instance) Configure() {
	challenge := "Key"
	if in.Realm != nil {
		challenge += ` realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(*in.Realm) + `"`
	}
	in.challenge = map[string][]string{"WWW-Authenticate": {challenge}}
}

// refusal says why a request is not authenticated.
type refusal struct {
	status  int
	message string
}

var (
	noKey      = &refusal{http.StatusUnauthorized, "No API key found in request"}
	duplicate  = &refusal{http.StatusUnauthorized, "Duplicate API key found"}
	unknown    = &refusal{http.StatusUnauthorized, "Unauthorized"}
	unexpected = &refusal{http.StatusInternalServerError, "An unexpected error occurred"}
)

// Access authenticates the request, or falls back to the anonymous consumer.
func (in *instance) Access(k *pdk.PDK) error {
	if !in.RunOnPreflight && k.Request.GetMethod() == http.MethodOptions {
		return nil
	}
	if in.Anonymous != nil && k.Client.GetCredential() != nil {
		return nil // another plugin has authenticated the request already
	}
	refused, err := in.authenticate(k)
	switch {
	case err != nil || refused == nil:
		return err
	case in.Anonymous != nil:
		return in.fallBack(k)
	case refused.status == http.StatusUnauthorized:
		return k.Response.Error(refused.status, refused.message, in.challenge)
	}
	return k.Response.Error(refused.status, refused.message, nil)
}

// authenticate finds the key and its consumer. Without a refusal the request is authenticated.
func (in *instance) authenticate(k *pdk.PDK) (*refusal, error) {
	key, refused, err := in.takeKey(k)
	if err != nil || refused != nil {
		return refused, err
	}
	credential, err := k.Client.LoadCredential("keyauth_credentials", key)
	if err != nil {
		return hostFailure(k, "loading the credential", err)
	}
	if credential == nil {
		return unknown, nil
	}
	consumer, err := k.Client.LoadConsumer(credential.ConsumerID, false)
	if err == nil && consumer == nil {
		err = fmt.Errorf("there is no consumer %s", credential.ConsumerID)
	}
	if err != nil {
		return hostFailure(k, "loading the consumer of credential "+credential.ID, err)
	}
	return nil, identify(k, consumer, credential)
}

// hostFailure makes a refusal of what the host could not answer. A call that has ended stays an error.
func hostFailure(k *pdk.PDK, doing string, err error) (*refusal, error) {
	if errors.Is(err, pdk.ErrPhase) {
		return nil, err
	}
	k.Log.Err(doing, ": ", err)
	return unexpected, nil
}

// fallBack makes the anonymous consumer the request's.
func (in *instance) fallBack(k *pdk.PDK) error {
	consumer, err := k.Client.LoadConsumer(*in.Anonymous, true)
	if err != nil {
		return fmt.Errorf("loading anonymous consumer %q: %w", *in.Anonymous, err)
	}
	if consumer == nil {
		return k.Response.Error(http.StatusInternalServerError, "anonymous consumer "+*in.Anonymous+" is configured but doesn't exist", nil)
	}
	return identify(k, consumer, nil)
}

// identify sets the consumer and tells the upstream who it is; without a credential it is the anonymous one.
func identify(k *pdk.PDK, consumer *pdk.Consumer, credential *pdk.Credential) error {
	if err := k.Client.Authenticate(consumer, credential); err != nil {
		return err
	}
	identifier, anonymous := "", "true"
	if credential != nil {
		identifier, anonymous = credential.ID, ""
	}
	for _, h := range [...]struct{ name, value string }{
		{"X-Consumer-ID", consumer.ID},
		{"X-Consumer-Custom-ID", consumer.CustomID},
		{"X-Consumer-Username", consumer.Username},
		{"X-Credential-Identifier", identifier},
		{"X-Anonymous-Consumer", anonymous},
	} {
		var err error
		if h.value == "" {
			err = k.ServiceRequest.ClearHeader(h.name)
		} else {
			err = k.ServiceRequest.SetHeader(h.name, h.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeKey finds the key and, with hide_credentials, removes it from the request.
func (in *instance) takeKey(k *pdk.PDK) (string, *refusal, error) {
	p := places{k: k, config: &in.Config}
	name, keys, err := p.find()
	switch {
	case err != nil:
		return "", nil, err
	case len(keys) == 0:
		return "", noKey, nil
	case len(keys) > 1:
		return "", duplicate, nil
	}
	if in.HideCredentials {
		if err := p.hide(name); err != nil {
			return "", nil, err
		}
	}
	if keys[0] == "" {
		return "", noKey, nil
	}
	return keys[0], nil, nil
}

// places are where a key can be in one request; query and body are read when first needed.
type places struct {
	k       *pdk.PDK
	config  *Config
	query   *fields.Args
	body    fields.Body // nil: no body that has fields
	hasBody bool        // body has been read
}

// find answers the first of the key names with values anywhere, and these values.
func (p *places) find() (name string, keys []string, err error) {
	for _, name := range p.config.KeyNames {
		if p.config.KeyInHeader {
			keys, err = p.inHeader(name)
		}
		if len(keys) == 0 && p.config.KeyInQuery {
			keys = p.inQuery(name)
		}
		if err == nil && len(keys) == 0 && p.config.KeyInBody {
			keys, err = p.inBody(name)
		}
		if err != nil || len(keys) > 0 {
			return name, keys, err
		}
	}
	return "", nil, nil
}

func (p *places) inHeader(name string) ([]string, error) {
	if _, ok := p.k.Request.GetHeader(name); !ok {
		return nil, nil
	}
	headers, err := p.k.Request.GetHeaders(1000)
	return headers.Values(name), err
}

func (p *places) inQuery(name string) []string {
	if p.query == nil {
		p.query = fields.ParseArgs(p.k.Request.GetRawQuery())
	}
	var keys []string
	for _, v := range p.query.Values(name) {
		if !v.Bare {
			keys = append(keys, v.Text)
		}
	}
	return keys
}

func (p *places) inBody(name string) ([]string, error) {
	if err := p.readBody(); err != nil || p.body == nil {
		return nil, err
	}
	return p.body.Values(name), nil
}

// readBody reads the body once. A body that is too large, of another type or not what its type says has no fields.
func (p *places) readBody() error {
	if p.hasBody {
		return nil
	}
	contentType, _ := p.k.Request.GetHeader("Content-Type")
	if kind := fields.KindOf(contentType); kind != fields.Other {
		raw, err := p.k.Request.GetRawBody()
		switch {
		case errors.Is(err, pdk.ErrData):
			p.k.Log.Info("looking for the key in the body: ", err)
		case err != nil:
			return err
		default:
			if body, ok := fields.Parse(kind, contentType, raw); ok {
				p.body = body
			} else {
				p.k.Log.Info("looking for the key in the body: it is not ", contentType)
			}
		}
	}
	p.hasBody = true
	return nil
}

// hide removes everything under name from header, query and, if keys may be there, body.
func (p *places) hide(name string) error {
	if err := p.k.ServiceRequest.ClearHeader(name); err != nil {
		return err
	}
	if p.query == nil {
		p.query = fields.ParseArgs(p.k.Request.GetRawQuery())
	}
	if p.query.Remove(name); p.query.Changed() {
		if err := p.k.ServiceRequest.SetRawQuery(p.query.String()); err != nil {
			return err
		}
	}
	if !p.config.KeyInBody {
		return nil
	}
	if err := p.readBody(); err != nil || p.body == nil {
		return err
	}
	if p.body.Remove(name); p.body.Changed() {
		return p.k.ServiceRequest.SetRawBody(p.body.Bytes())
	}
	return nil
}
