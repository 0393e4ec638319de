// Package config reads the two configuration files: the static settings (LoadSettings) and the entities in Kong's declarative
// format (Load, Parse). It checks plugin configurations against the schemas of the plugins (ResolvePlugins).
//
// Everything that is wrong is reported together, as Errors, each with its place, what was found and what would be right. Nothing
// is reported twice, and values of fields that a schema calls secret are never part of a text.
package config

import (
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// emptyHash is the hash of a configuration without entities.
var emptyHash = strings.Repeat("0", 32)

// Empty is the configuration of a gateway that was given none.
func Empty() *entity.Set { return &entity.Set{Hash: emptyHash} }

// Source is a declarative document that is not read yet.
type Source struct {
	Name string // of the file, for errors
	Data []byte
	Env  []string // what ${{ env "NAME" }} finds, in the form of os.Environ
}

// ReadSource reads the text of a declarative file. The error is of type Errors.
func ReadSource(file string, env []string) (Source, error) {
	data, e := readFile(file)
	if e != nil {
		return Source{}, Errors{e}
	}
	return Source{Name: file, Data: data, Env: env}, nil
}

// Load reads a declarative file whose expressions take their values from env, which has the form of os.Environ. The error is of type Errors.
func Load(file string, env []string) (*entity.Set, error) {
	set, _, err := LoadPlaces(file, env)
	return set, err
}

// LoadPlaces is Load, and says where everything stands.
func LoadPlaces(file string, env []string) (*entity.Set, *Places, error) {
	source, err := ReadSource(file, env)
	if err != nil {
		return nil, nil, err
	}
	return source.Parse()
}

// Parse reads a declarative document without an environment; name is what errors call the file. See Source.Parse.
func Parse(name string, data []byte) (*entity.Set, error) {
	set, _, err := ParsePlaces(name, data)
	return set, err
}

// hashOf is over the content: the text, and what it takes from the environment.
func hashOf(data []byte, values []string) string {
	h := md5.New()
	h.Write(data)
	for _, v := range values {
		h.Write([]byte("\x00" + v))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ParsePlaces is Parse, and says where everything stands.
func ParsePlaces(name string, data []byte) (*entity.Set, *Places, error) {
	return Source{Name: name, Data: data}.Parse()
}

// Parse reads the document. References are resolved, defaults filled in and missing ids derived from content, so that the same document gives
// the same set each time. The configurations of plugins are only checked by ResolvePlugins. The error is of type Errors.
func (src Source) Parse() (*entity.Set, *Places, error) {
	d := &document{reader: reader{file: src.Name}}
	root, values := parseWithEnvironment(&d.reader, src.Data, src.Env)
	if root == nil {
		return nil, nil, d.errs
	}
	d.read(root)
	d.resolve()
	if err := d.errs.result(); err != nil {
		return nil, nil, err
	}
	set := d.set()
	set.Hash = emptyHash
	set.Hidden = root.fromEnvironment(nil)
	slices.Sort(set.Hidden)
	set.Hidden = slices.Compact(set.Hidden) // one variable may stand in every entity
	set.Blank = root.kind == kindNull
	if !set.Empty() {
		set.Hash = hashOf(src.Data, values)
	}
	return set, &Places{document: d}, nil
}
