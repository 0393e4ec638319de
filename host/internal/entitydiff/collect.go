package entitydiff

import (
	"bytes"
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// collections are all collections in the order in which changes are listed.
var collections = []string{
	"vaults", "certificates", "snis", "ca_certificates", "key_sets", "keys", "services", "routes", "upstreams", "targets", "consumers", "consumer_groups",
	"keyauth_credentials", "basicauth_credentials", "hmacauth_credentials", "jwt_secrets", "oauth2_credentials", "acls", "partials", "cloned_plugins", "plugins",
}

// collect takes a set apart.
func collect(s *entity.Set) map[string][]item {
	c := map[string][]item{}
	add := func(collection, id, name string, e any, extra map[string]any) {
		f := fieldsOf(reflect.ValueOf(e).Elem())
		for key, v := range extra {
			f[key] = v
		}
		c[collection] = append(c[collection], item{id: id, name: name, fields: f, hidden: secretOf(collection, s.Hidden)})
	}
	for _, v := range s.Vaults {
		add("vaults", v.ID, v.Prefix, v, nil)
	}
	for _, v := range s.Certificates {
		add("certificates", v.ID, v.ID, v, nil)
	}
	for _, v := range s.SNIs {
		add("snis", v.ID, v.Name, v, nil)
	}
	for _, v := range s.CACertificates {
		add("ca_certificates", v.ID, v.CertDigest, v, nil)
	}
	for _, v := range s.KeySets {
		add("key_sets", v.ID, v.Name, v, nil)
	}
	for _, v := range s.Keys {
		add("keys", v.ID, cmp.Or(v.Name, v.KID), v, nil)
	}
	for _, v := range s.Services {
		add("services", v.ID, v.Name, v, nil)
	}
	for _, v := range s.Routes {
		add("routes", v.ID, v.Name, v, nil)
	}
	for _, v := range s.Upstreams {
		add("upstreams", v.ID, v.Name, v, nil)
		for _, t := range v.Targets {
			add("targets", t.ID, v.Name+" "+t.Target, t, map[string]any{"upstream": v.Name})
		}
	}
	for _, v := range s.Consumers {
		groups := make([]string, len(v.Groups)) // in the order of their names: that of their priorities says nothing of the consumer
		for i, g := range v.Groups {
			groups[i] = g.Name
		}
		slices.Sort(groups)
		add("consumers", v.ID, cmp.Or(v.Username, v.CustomID), v, map[string]any{"groups": decoded(groups)})
	}
	for _, v := range s.ConsumerGroups {
		add("consumer_groups", v.ID, v.Name, v, nil)
	}
	credentials(s, add)
	for _, v := range s.Partials {
		add("partials", v.ID, v.Name, v, nil)
		all := c["partials"]
		all[len(all)-1].hidden = secretOfConfig(s.Hidden, s.Hidden, false)
	}
	for _, v := range s.ClonedPlugins {
		add("cloned_plugins", v.Name, v.Name, v, nil)
	}
	for _, v := range s.Plugins {
		add("plugins", v.ID, v.LookupName()+" ("+v.Scope()+")", v, nil)
		all := c["plugins"]
		last := &all[len(all)-1]
		last.hidden = secretOfConfig(slices.Concat(v.Secrets, v.Hidden), s.Hidden, v.SchemaKnown)
		if !v.SchemaKnown {
			last.guessed = v.Name
		}
	}
	return c
}

func credentials(s *entity.Set, add func(collection, id, name string, e any, extra map[string]any)) {
	of := func(c *entity.Consumer) string {
		if c == nil {
			return ""
		}
		return cmp.Or(c.Username, c.CustomID, c.ID)
	}
	for _, v := range s.KeyAuths {
		add("keyauth_credentials", v.ID, "of "+of(v.Consumer)+" "+v.ID, v, nil)
	}
	for _, v := range s.BasicAuths {
		add("basicauth_credentials", v.ID, v.Username, v, nil)
	}
	for _, v := range s.HMACAuths {
		add("hmacauth_credentials", v.ID, v.Username, v, nil)
	}
	for _, v := range s.JWTSecrets {
		add("jwt_secrets", v.ID, "of "+of(v.Consumer)+" "+v.ID, v, nil)
	}
	for _, v := range s.OAuth2 {
		add("oauth2_credentials", v.ID, v.Name+" of "+of(v.Consumer), v, nil)
	}
	for _, v := range s.ACLs {
		add("acls", v.ID, of(v.Consumer)+" "+v.Group, v, nil)
	}
}

// skipped are fields that say where an entity stands in its document, or what became of it, and no more.
var skipped = []string{
	"ID", "Pos", "Path", "At", "KeyAt", "FieldAt", "Resolved", "Hidden", "Secrets", "SchemaKnown", "References", "Missing", "Emptied", "Unresolved", "Merged", "Origins", "Targets",
}

// fieldsOf are the fields of an entity by their names in documents, in the form of decoded JSON. Empty ones are left out.
func fieldsOf(v reflect.Value) map[string]any {
	out := map[string]any{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if slices.Contains(skipped, f.Name) || !f.IsExported() {
			continue
		}
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			for key, value := range fieldsOf(v.Field(i)) {
				out[key] = value
			}
			continue
		}
		if value := plain(v.Field(i)); value != nil {
			out[nameOf(f)] = value
		}
	}
	return out
}

// documentNames are the names of fields that are called otherwise in documents.
var documentNames = map[string]string{
	"Health": "healthchecks", "Breaker": "circuit_breakers", "Outliers": "outlier_detection", "Budget": "retry_budget", "Statuses": "http_statuses",
}

// nameOf is the name of a field in documents.
func nameOf(f reflect.StructField) string {
	if name := documentNames[f.Name]; name != "" {
		return name
	}
	if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
		return name
	}
	var b strings.Builder
	runes := []rune(f.Name)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// plain is the value of a field; nil when it is empty. Another entity is its name.
func plain(v reflect.Value) any {
	switch e := v.Interface().(type) {
	case time.Duration:
		if e == 0 {
			return nil
		}
		return e.String()
	case *entity.Service, *entity.Route, *entity.Consumer, *entity.ConsumerGroup, *entity.Upstream, *entity.Certificate, *entity.KeySet, *entity.Partial:
		return referenceOf(v)
	case entity.PartialUse:
		return map[string]any{"name": referenceOf(reflect.ValueOf(e.Partial)), "path": e.Path}
	case map[string]any:
		if len(e) == 0 {
			return nil
		}
		return decoded(e)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if v.Elem().Kind() == reflect.Struct {
			return fieldsOf(v.Elem())
		}
		return decoded(v.Elem().Interface())
	case reflect.Struct:
		if f := fieldsOf(v); len(f) > 0 {
			return f
		}
		return nil
	case reflect.Slice:
		list := make([]any, 0, v.Len())
		for i := range v.Len() {
			list = append(list, plain(v.Index(i)))
		}
		if len(list) == 0 {
			return nil
		}
		return list
	case reflect.Map:
		out := map[string]any{}
		for _, key := range v.MapKeys() {
			out[key.String()] = plain(v.MapIndex(key))
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case reflect.Func:
		return nil
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64, reflect.Uint8, reflect.Uint16:
		if v.Kind() != reflect.Bool && v.IsZero() {
			return nil
		}
	}
	return decoded(v.Interface())
}

// referenceOf is the name of another entity, or its id.
func referenceOf(v reflect.Value) any {
	if v.IsNil() {
		return nil
	}
	for _, field := range []string{"Name", "Username", "ID"} {
		if f := v.Elem().FieldByName(field); f.IsValid() && f.String() != "" {
			return f.String()
		}
	}
	return nil
}

// decoded is a value as decoding its JSON gives it, so that numbers compare by value.
func decoded(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error() // of a value that has no JSON: there is none in an entity
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var out any
	if err := d.Decode(&out); err != nil {
		return err.Error()
	}
	return out
}

func toJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}
