// Package config reads the two configuration files: the static settings (LoadSettings) and the entities in Kong's declarative
// format (Load, Parse). It checks plugin configurations against the schemas of the plugins (ResolvePlugins).
//
// Everything that is wrong is reported together, as Errors, each with its place, what was found and what would be right. Nothing
// is reported twice, and values of fields that a schema calls secret are never part of a text.
package config

import (
	"crypto/md5"
	"encoding/hex"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// emptyHash is the hash of a configuration without entities.
var emptyHash = strings.Repeat("0", 32)

// Empty is the configuration of a gateway that was given none.
func Empty() *entity.Set { return &entity.Set{Hash: emptyHash} }

// Load reads a declarative file. The error is of type Errors.
func Load(file string) (*entity.Set, error) {
	set, _, err := LoadPlaces(file)
	return set, err
}

// LoadPlaces is Load, and says where everything stands.
func LoadPlaces(file string) (*entity.Set, *Places, error) {
	data, e := readFile(file)
	if e != nil {
		return nil, nil, Errors{e}
	}
	return ParsePlaces(file, data)
}

// Parse reads a declarative document; name is what errors call the file. References are resolved, defaults filled in and missing
// ids derived from content, so that the same document gives the same set each time. The configurations of plugins are only
// checked by ResolvePlugins. The error is of type Errors.
func Parse(name string, data []byte) (*entity.Set, error) {
	set, _, err := ParsePlaces(name, data)
	return set, err
}

// ParsePlaces is Parse, and says where everything stands.
func ParsePlaces(name string, data []byte) (*entity.Set, *Places, error) {
	root, e := parseDocument(name, data)
	if e != nil {
		return nil, nil, Errors{e}
	}
	d := &document{reader: reader{file: name}}
	d.read(root)
	d.resolve()
	if err := d.errs.result(); err != nil {
		return nil, nil, err
	}
	set := d.set()
	set.Hash = emptyHash
	set.Blank = root.kind == kindNull
	if len(set.Services)+len(set.Routes)+len(set.Consumers)+len(set.ConsumerGroups)+len(set.KeyAuths)+len(set.BasicAuths)+len(set.ACLs)+len(set.Upstreams)+len(set.Plugins)+len(set.Partials)+len(set.ClonedPlugins) > 0 {
		sum := md5.Sum(data)
		set.Hash = hex.EncodeToString(sum[:])
	}
	return set, &Places{document: d}, nil
}
