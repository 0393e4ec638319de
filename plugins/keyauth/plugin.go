// Package keyauth is the plugin key-auth: it authenticates requests by a key in a header, a query argument or a body field.
package keyauth

import (
	"errors"
	"net/http"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/plugins/internal/fields"
	"github.com/outrigger-gateway/outrigger/plugins/internal/identity"
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
	in.challenge = identity.Challenge("Key", in.Realm)
}

var (
	noKey     = &identity.Refusal{Status: http.StatusUnauthorized, Message: "No API key found in request"}
	duplicate = &identity.Refusal{Status: http.StatusUnauthorized, Message: "Duplicate API key found"}
	unknown   = &identity.Refusal{Status: http.StatusUnauthorized, Message: "Unauthorized"}
)

// Access authenticates the request, or falls back to the anonymous consumer.
func (in *instance) Access(k *pdk.PDK) error {
	if !in.RunOnPreflight && k.Request.GetMethod() == http.MethodOptions {
		return nil
	}
	return identity.Authenticate(k, in.Anonymous, in.challenge, in.authenticate)
}

// authenticate finds the key and its consumer. Without a refusal the request is authenticated.
func (in *instance) authenticate(k *pdk.PDK) (*identity.Refusal, error) {
	key, refused, err := in.takeKey(k)
	if err != nil || refused != nil {
		return refused, err
	}
	credential, err := k.Client.LoadCredential("keyauth_credentials", key)
	if err != nil {
		return identity.HostFailure(k, "loading the credential", err)
	}
	if credential == nil {
		return unknown, nil
	}
	return identity.Accept(k, credential, credential.ID)
}

// takeKey finds the key and, with hide_credentials, removes it from the request.
func (in *instance) takeKey(k *pdk.PDK) (string, *identity.Refusal, error) {
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
