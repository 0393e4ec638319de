// Package schema makes the JSON Schema (2020-12) of a plugin's configuration from its Go type, and decodes configurations strictly.
//
// Names come from json tags; what JSON Schema can check comes from schema tags:
//
//	type config struct {
//		Header string   `json:"header" schema:"required,minlen=1,pattern=^[A-Za-z-]+$"`
//		Mode   string   `json:"mode" schema:"default=strict,enum=strict|loose"`
//		Limit  int      `json:"limit" schema:"min=1,max=1000"`
//		Hosts  []string `json:"hosts" schema:"minitems=1,unique,format=host" doc:"where to look"`
//		Key    string   `json:"key" schema:"secret,referenceable"`
//	}
//
// docs/guides/config-schema.md lists the keywords. A comma inside a value is written "\,". Values that New has put into the instance are defaults
// too. On a slice, the keywords of values are those of its elements. Pointers may be null. Fields without a json name are called by their Go name,
// as encoding/json does.
package schema
