package local

import (
	"encoding/json"
	"fmt"
	"math"
	"sync"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// document is the Value of an entity whose kind is not known when it arrives. It is decoded when a handler first asks for it.
type document struct {
	doc []byte

	mu       sync.Mutex // guards the rest
	route    *pdk.Route
	service  *pdk.Service
	consumer *pdk.Consumer
}

// Adopt prepares an entity that came over the wire: it is decoded once, when a handler first asks for it, as what the handler asks for.
func Adopt(e *wire.Entity) { e.Value = &document{doc: e.Doc} }

// NewConsumer makes the entity of a consumer from its MessagePack map. The bytes are kept.
func NewConsumer(doc []byte) (*wire.Entity, error) {
	c, err := decodeConsumer(doc)
	if err != nil {
		return nil, err
	}
	return &wire.Entity{ID: c.ID, Doc: doc, Value: c}, nil
}

// NewCredential makes the entity of a credential from its MessagePack map. The bytes are kept.
func NewCredential(doc []byte) (*wire.Entity, error) {
	c, err := decodeCredential(doc)
	if err != nil {
		return nil, err
	}
	return &wire.Entity{ID: c.ID, Doc: doc, Value: c}, nil
}

func decodeMap(doc []byte) (map[string]any, error) {
	v, err := wire.DecodeValue(doc)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("found %T, expected a map", v)
	}
	return m, nil
}

func decodeConsumer(doc []byte) (*pdk.Consumer, error) {
	fields, err := decodeMap(doc)
	if err != nil {
		return nil, fmt.Errorf("decoding a consumer: %w", err)
	}
	return consumerOf(fields), nil
}

func decodeCredential(doc []byte) (*pdk.Credential, error) {
	fields, err := decodeMap(doc)
	if err != nil {
		return nil, fmt.Errorf("decoding a credential: %w", err)
	}
	return pdk.CredentialOf(fields), nil
}

func consumerOf(fields map[string]any) *pdk.Consumer {
	c := &pdk.Consumer{
		ID:        text(fields["id"]),
		Username:  text(fields["username"]),
		CustomID:  text(fields["custom_id"]),
		CreatedAt: integer(fields["created_at"]),
		UpdatedAt: integer(fields["updated_at"]),
	}
	if tags, ok := fields["tags"].([]any); ok {
		for _, t := range tags {
			c.Tags = append(c.Tags, text(t))
		}
	}
	return c
}

// consumerFields is the reverse of consumerOf.
func consumerFields(c *pdk.Consumer) map[string]any {
	fields := map[string]any{"id": c.ID, "created_at": c.CreatedAt, "updated_at": c.UpdatedAt}
	if c.Username != "" {
		fields["username"] = c.Username
	}
	if c.CustomID != "" {
		fields["custom_id"] = c.CustomID
	}
	if c.Tags != nil {
		tags := make([]any, len(c.Tags))
		for i, t := range c.Tags {
			tags[i] = t
		}
		fields["tags"] = tags
	}
	return fields
}

func text(v any) string {
	switch t := v.(type) {
	case string:
		return t
	case []byte:
		return string(t)
	}
	return ""
}

func integer(v any) int64 {
	switch t := v.(type) {
	case int64:
		return t
	case uint64:
		if t <= math.MaxInt64 {
			return int64(t)
		}
	case float64:
		return int64(t)
	}
	return 0
}

// routeOf is the route of an entity: as its maker set it, or decoded.
func routeOf(e *wire.Entity) (*pdk.Route, error) {
	if e == nil {
		return nil, nil
	}
	switch v := e.Value.(type) {
	case *pdk.Route:
		return v, nil
	case *document:
		v.mu.Lock()
		defer v.mu.Unlock()
		return once(&v.route, func() (*pdk.Route, error) { return decodeAs[pdk.Route](v.doc, "route") })
	}
	return decodeAs[pdk.Route](e.Doc, "route")
}

func serviceOf(e *wire.Entity) (*pdk.Service, error) {
	if e == nil {
		return nil, nil
	}
	switch v := e.Value.(type) {
	case *pdk.Service:
		return v, nil
	case *document:
		v.mu.Lock()
		defer v.mu.Unlock()
		return once(&v.service, func() (*pdk.Service, error) { return decodeAs[pdk.Service](v.doc, "service") })
	}
	return decodeAs[pdk.Service](e.Doc, "service")
}

func consumerOfEntity(e *wire.Entity) (*pdk.Consumer, error) {
	if e == nil {
		return nil, nil
	}
	switch v := e.Value.(type) {
	case *pdk.Consumer:
		return v, nil
	case *document:
		v.mu.Lock()
		defer v.mu.Unlock()
		return once(&v.consumer, func() (*pdk.Consumer, error) { return decodeConsumer(v.doc) })
	}
	return decodeConsumer(e.Doc)
}

func credentialOfEntity(e *wire.Entity) (*pdk.Credential, error) {
	if e == nil {
		return nil, nil
	}
	if c, ok := e.Value.(*pdk.Credential); ok {
		return c, nil
	}
	return decodeCredential(e.Doc)
}

// once makes a value if it is not there yet, and keeps it if that went well.
func once[T any](place **T, make func() (*T, error)) (*T, error) {
	if *place == nil {
		v, err := make()
		if err != nil {
			return nil, err
		}
		*place = v
	}
	return *place, nil
}

// decodeAs fills a typed entity by way of its JSON form, whose fields are the same.
func decodeAs[T any](doc []byte, kind string) (*T, error) {
	fields, err := decodeMap(doc)
	if err != nil {
		return nil, fmt.Errorf("decoding a %s: %w", kind, err)
	}
	v := new(T)
	b, err := json.Marshal(fields)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return nil, fmt.Errorf("decoding a %s: %w", kind, err)
	}
	return v, nil
}
