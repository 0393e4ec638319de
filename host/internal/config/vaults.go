package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// vaultTypes are the providers of secrets, and the options that each has beside those of all.
var vaultTypes = map[string][]string{"env": {"prefix"}, "file": {"directory", "prefix"}}

// vaultTimes are the options of every vault that say how long secrets are kept, in seconds.
var vaultTimes = []string{"ttl", "neg_ttl", "resurrect_ttl"}

// kongVaults are the types of Kong's Enterprise edition.
var kongVaults = []string{"aws", "azure", "conjur", "gcp", "hcv"}

// longestKept is what the times of a vault may be at most: what Kong allows.
const longestKept = 100000000

// vault reads a vault.
func (d *document) vault(n *node, at *path) {
	o := d.object(n, at, "a vault")
	if o == nil {
		return
	}
	v := &entity.Vault{Pos: d.pos(n), Config: map[string]string{}}
	d.vaults = append(d.vaults, &record[entity.Vault]{e: v, at: at, n: n})
	v.ID, v.Tags, v.CreatedAt, v.UpdatedAt = o.common()
	v.Prefix = o.text("prefix", vaultPrefix)
	if o.lacks("prefix") {
		o.missing("prefix", "the name of the vault in references")
	}
	v.Type = o.text("name", vaultType)
	if o.lacks("name") {
		o.missing("name", "the type of the vault, "+strings.Join(vaultTypeNames(), " or "))
	}
	v.Description = o.text("description")
	v.OnFailure = o.choice("on_failure", entity.OnFailureReject, entity.OnFailureReject, entity.OnFailureEmpty, entity.OnFailureRequest)
	d.vaultConfig(o, v)
	o.done()
}

// vaultConfig reads the options of a vault.
func (d *document) vaultConfig(o *object, v *entity.Vault) {
	n := o.has("config")
	options, known := vaultTypes[v.Type]
	if known && slices.Contains(options, "directory") && n.get("directory").empty() {
		o.missing("config.directory", "the directory with a file for each secret")
	}
	if n == nil || !known {
		return
	}
	c := d.object(n, o.at.key("config"), "the configuration of a vault of type "+v.Type)
	if c == nil {
		return
	}
	for _, key := range options {
		if key == "directory" {
			if text := c.text(key, absolute); text != "" {
				v.Config[key] = text
			}
		} else if value := c.has(key); value != nil && (value.kind != kindText || value.text != "") {
			v.Config[key] = c.text(key, printable)
		}
	}
	for _, key := range vaultTimes {
		if c.has(key) != nil {
			v.Config[key] = strconv.Itoa(c.integer(key, 0, 0, longestKept))
		}
	}
	c.done()
}

func absolute(s string) *problem {
	if !strings.HasPrefix(s, "/") {
		return &problem{expected: "an absolute path, such as /run/secrets"}
	}
	return nil
}

func vaultTypeNames() []string {
	names := make([]string, 0, len(vaultTypes))
	for name := range vaultTypes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func vaultType(s string) *problem {
	if slices.Contains(kongVaults, s) {
		return &problem{expected: "one of " + strings.Join(vaultTypeNames(), ", ") + ": this type is not supported yet", code: CodeUnsupported}
	}
	return oneOf(vaultTypeNames()...)(s)
}

// vaultPrefix is the rule of the name of a vault in references.
func vaultPrefix(s string) *problem {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || i > 0 && (c == '-' || isDigit(c))) {
			return &problem{expected: "a lower-case letter, then letters, digits and '-'"}
		}
	}
	if _, taken := vaultTypes[s]; taken || slices.Contains(kongVaults, s) {
		return &problem{expected: "a name that is not that of a type of vaults", fix: "write " + quote("my-"+s)}
	}
	return nil
}

func (d *document) resolveVaults(ids *ids) {
	vaults := newIndex[entity.Vault](d, "vault")
	unique := map[string]map[string]*record[entity.Vault]{}
	for _, r := range d.vaults {
		ids.vault(r.e)
		vaults.add(r, r.e.ID, unique, "prefix")
	}
}
