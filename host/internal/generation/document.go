package generation

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// describe makes the documents that plugins see of routes, services, consumers and credentials.
func (g *Generation) describe(set *entity.Set) error {
	g.routes = make(map[*entity.Route]*wire.Entity, len(set.Routes))
	g.services = make(map[*entity.Service]*wire.Entity, len(set.Services))
	g.consumers = make(map[string]*consumer, len(set.Consumers))
	g.usernames = make(map[string]*consumer, len(set.Consumers))
	g.keys = make(map[string]*key, len(set.KeyAuths))
	for _, s := range set.Services {
		doc, err := encode(s, nil)
		if err != nil {
			return err
		}
		g.services[s] = document(doc, s.ID)
	}
	for _, r := range set.Routes {
		own := *r
		own.Service = nil
		extra := map[string]any{"service": nil}
		if r.Service != nil {
			extra["service"] = map[string]any{"id": r.Service.ID}
		}
		doc, err := encode(&own, extra)
		if err != nil {
			return err
		}
		g.routes[r] = document(doc, r.ID)
	}
	for _, c := range set.Consumers {
		doc, err := encode(c, nil)
		if err != nil {
			return err
		}
		entry := &consumer{entity: c}
		if entry.doc, err = local.NewConsumer(doc); err != nil {
			return err
		}
		g.consumers[c.ID] = entry
		if c.Username != "" {
			g.usernames[c.Username] = entry
		}
	}
	for _, k := range set.KeyAuths {
		doc, err := credential(k, k.Consumer)
		if err != nil {
			return err
		}
		g.keys[k.Key] = &key{credential: k, doc: doc}
	}
	g.basics = make(map[string]*wire.Entity, len(set.BasicAuths))
	for _, c := range set.BasicAuths {
		doc, err := credential(c, c.Consumer)
		if err != nil {
			return err
		}
		g.basics[c.Username] = doc
	}
	if err := g.describeOthers(set); err != nil {
		return err
	}
	return g.describeACLs(set)
}

// describeOthers makes the documents of the credentials of plugins that are not built in. They hold the secrets, which the plugin checks with.
func (g *Generation) describeOthers(set *entity.Set) error {
	g.others = map[otherKey]*wire.Entity{}
	add := func(kind, key string, v any, of *entity.Consumer, secrets map[string]any) error {
		fields := map[string]any{"consumer": map[string]any{"id": of.ID}, "consumer_id": of.ID}
		maps.Copy(fields, secrets)
		doc, err := encode(v, fields)
		if err != nil {
			return err
		}
		g.others[otherKey{kind, key}], err = local.NewCredential(doc)
		return err
	}
	var errs []error
	for _, c := range set.HMACAuths {
		errs = append(errs, add("hmacauth_credentials", c.Username, c, c.Consumer, map[string]any{"secret": c.Secret}))
	}
	for _, c := range set.JWTSecrets {
		secrets := map[string]any{}
		if c.Secret != "" {
			secrets["secret"] = c.Secret
		}
		errs = append(errs, add("jwt_secrets", c.Key, c, c.Consumer, secrets))
	}
	for _, c := range set.OAuth2 {
		secrets := map[string]any{}
		if c.ClientSecret != "" {
			secrets["client_secret"] = c.ClientSecret
		}
		errs = append(errs, add("oauth2_credentials", c.ClientID, c, c.Consumer, secrets))
	}
	return errors.Join(errs...)
}

// otherKey is the kind of a credential and its natural key.
type otherKey struct{ kind, key string }

// describeACLs makes one document for all groups of a consumer, with their names in order.
func (g *Generation) describeACLs(set *entity.Set) error {
	groups := map[*entity.Consumer][]string{}
	for _, a := range set.ACLs {
		groups[a.Consumer] = append(groups[a.Consumer], a.Group)
	}
	g.acls = make(map[string]*wire.Entity, len(groups))
	for c, names := range groups {
		slices.Sort(names)
		doc, err := credential(struct {
			ID     string   `json:"id"`
			Groups []string `json:"groups"`
		}{c.ID, names}, c)
		if err != nil {
			return err
		}
		g.acls[c.ID] = doc
	}
	return nil
}

// credential makes the document of a credential.
func credential(v any, of *entity.Consumer) (*wire.Entity, error) {
	doc, err := encode(v, map[string]any{"consumer": map[string]any{"id": of.ID}, "consumer_id": of.ID})
	if err != nil {
		return nil, err
	}
	return local.NewCredential(doc)
}

// document makes the entity of a route or service; native handlers that ask for it decode it once.
func document(doc []byte, id string) *wire.Entity {
	e := &wire.Entity{ID: id, Doc: doc}
	local.Adopt(e)
	return e
}

// encode turns an entity into one MessagePack map with the fields of its JSON form and some more.
func encode(v any, extra map[string]any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	for k, f := range fields {
		fields[k] = integers(f)
	}
	for k, f := range extra {
		fields[k] = f
	}
	doc, err := wire.AppendValue(nil, fields)
	if err != nil {
		return nil, fmt.Errorf("document of %T: %w", v, err)
	}
	return doc, nil
}

// integers turns whole float64 values of decoded JSON back into integers.
func integers(v any) any {
	if f, ok := v.(float64); ok && f == float64(int64(f)) {
		return int64(f)
	}
	return v
}
