package entity

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plugin is one stored configuration of a plugin ("plugin config" in our words).
type Plugin struct {
	ID            string
	Name          string
	InstanceName  string
	Service       *Service
	Route         *Route
	Consumer      *Consumer
	ConsumerGroup *ConsumerGroup
	Config        map[string]any // as written; after config.ResolvePlugins with the schema's defaults filled in
	// Resolved is Config with the secrets that its references lead to; nil when it has none. It is never shown.
	Resolved map[string]any
	// References are the references of the configuration with the secrets that they led to, which are never shown; Missing are those that led to
	// none and yet did not make the configuration wrong. Emptied says of which fields they left empty, and where; Unresolved why the plugin cannot
	// run until there is a secret, "": it can.
	References map[string]string
	Missing    map[string]bool
	Emptied    []string
	Unresolved string
	// Hidden are the texts of the configuration that came from the environment; they are among the secrets.
	Hidden []string
	// Secrets are the texts of the configuration that no message may show.
	Secrets []string
	// SchemaKnown: the schema of the plugin, which knows all fields of the configuration, has said which texts these are.
	SchemaKnown bool
	Protocols   []string
	Enabled     bool
	Tags        []string

	CallPolicy
	// AllowFailOpen confirms fail_mode open on a plugin that authenticates.
	AllowFailOpen bool

	Ordering  Ordering
	Priority  *int         // in place of the plugin's own; nil: that one
	Mode      string       // ModeEnable, ModeDisable; "" is ModeEnable
	Inherit   bool         // the configuration is merged over that of the next less specific record
	Stack     bool         // runs beside the other records of the plugin; it has an instance name then
	Condition string       // CEL; "": none
	OnFalse   string       // what a false condition does: OnFalseSkip, OnFalseNext; "" is OnFalseSkip
	Partials  []PartialUse // configurations below the record's own

	// Merged lists the records whose configurations Config was made of, the record itself first; nil when it does not inherit, or finds
	// nothing to inherit. Origins then says by dotted path which of them each value came from.
	Merged  []*Plugin
	Origins map[string]*Plugin

	Pos  Pos
	Path string // place of the record in its document, such as services[0].plugins[1]
	// At finds the place of a value inside Config, such as ["limits", "0", "name"], or of the nearest value around it;
	// KeyAt finds the place of its key; FieldAt that of a field of the record itself. They are nil when the record does not come
	// from a document.
	At      func(path []string) Pos
	KeyAt   func(path []string) Pos
	FieldAt func(name string) Pos
}

// Modes of a record.
const (
	ModeEnable = "enable"
	// ModeDisable switches the plugin off where the record wins: less specific records do not count.
	ModeDisable = "disable"
)

// What a record does whose condition is false.
const (
	OnFalseSkip = "skip" // the plugin does not run
	OnFalseNext = "next" // the next record in the order of the levels has its turn
)

// Ordering moves the plugin in the phases by whose names the lists are kept. The lists hold names of plugins, or instance names of stacked ones.
type Ordering struct {
	Before map[string][]string `json:"before,omitempty"`
	After  map[string][]string `json:"after,omitempty"`
}

// Empty reports whether there is no rule.
func (o Ordering) Empty() bool { return len(o.Before) == 0 && len(o.After) == 0 }

// OrderingPhases are the phases that rules may be given for.
var OrderingPhases = []string{"rewrite", "access", "response", "header_filter", "body_filter", "log"}

// ClonedPlugin is a plugin of its own name that shares the code of another.
type ClonedPlugin struct {
	Name     string
	Ref      string // the plugin whose code it is
	Priority *int   // nil: that of Ref
	Pos      Pos
	Path     string                // place in the document
	FieldAt  func(name string) Pos `json:"-"`
}

// Partial is a part of a configuration that several records share.
type Partial struct {
	ID        string
	Name      string
	Type      string
	Config    map[string]any
	Tags      []string
	CreatedAt int64
	UpdatedAt int64
	Pos       Pos
}

// PartialUse puts the configuration of a partial into that of a record.
type PartialUse struct {
	Partial *Partial
	Path    string // dotted place inside the configuration; "": the configuration itself
}

// LookupName is what records compete under: one of all that have the same wins. A stacked record competes as plugin#instance.
func (p *Plugin) LookupName() string {
	if p.Stack {
		return p.Name + "#" + p.InstanceName
	}
	return p.Name
}

// Disables reports whether the record switches its plugin off.
func (p *Plugin) Disables() bool { return p.Mode == ModeDisable }

// Root is the record as it stands in the document: of a merged one, the most specific part.
func (p *Plugin) Root() *Plugin {
	if len(p.Merged) > 0 {
		return p.Merged[0]
	}
	return p
}

// Effective is the configuration that the instance gets.
func (p *Plugin) Effective() map[string]any {
	if p.Resolved != nil {
		return p.Resolved
	}
	return p.Config
}

// Redact replaces the secrets of the configuration in a text, such as the error by which a plugin refuses it. One of less than four characters counts
// as a whole word only: replaced inside of words it would make the text unreadable, and be readable itself.
func (p *Plugin) Redact(text string) string {
	var spellings []string
	for _, s := range p.Secrets {
		spellings = append(spellings, s)
		for _, quoted := range []string{strconv.Quote(s), strconv.QuoteToASCII(s)} {
			spellings = append(spellings, quoted[1:len(quoted)-1])
		}
	}
	slices.SortFunc(spellings, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	for _, s := range spellings {
		text = redacted(text, s)
	}
	return text
}

// redacted replaces one secret in a text.
func redacted(text, secret string) string {
	if utf8.RuneCountInString(secret) >= 4 {
		return strings.ReplaceAll(text, secret, "***")
	}
	first, _ := utf8.DecodeRuneInString(secret)
	last, _ := utf8.DecodeLastRuneInString(secret)
	var b strings.Builder
	done := 0 // of text that is in b
	for at := 0; secret != ""; {
		i := strings.Index(text[at:], secret)
		if i < 0 {
			break
		}
		from, to := at+i, at+i+len(secret)
		before, _ := utf8.DecodeLastRuneInString(text[:from])
		after, _ := utf8.DecodeRuneInString(text[to:])
		if wordRune(before) && wordRune(first) || wordRune(last) && wordRune(after) {
			at = from + 1
			continue
		}
		b.WriteString(text[done:from] + "***")
		at, done = to, to
	}
	return b.String() + text[done:]
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// Scope names the record's scope for messages: "global", "route orders", "service s, consumer c".
func (p *Plugin) Scope() string {
	s := ""
	add := func(kind, id, name string) {
		if s != "" {
			s += ", "
		}
		if name == "" {
			name = id
		}
		s += kind + " " + name
	}
	if p.Route != nil {
		add("route", p.Route.ID, p.Route.Name)
	}
	if p.Service != nil {
		add("service", p.Service.ID, p.Service.Name)
	}
	if p.Consumer != nil {
		add("consumer", p.Consumer.ID, p.Consumer.Username)
	}
	if p.ConsumerGroup != nil {
		add("consumer_group", p.ConsumerGroup.ID, p.ConsumerGroup.Name)
	}
	if s == "" {
		return "global"
	}
	return s
}

// ScopeIDs lists the ids of route, service, consumer and group that the record is bound to; absent ones are empty.
func (p *Plugin) ScopeIDs() [4]string {
	var ids [4]string
	if p.Route != nil {
		ids[0] = p.Route.ID
	}
	if p.Service != nil {
		ids[1] = p.Service.ID
	}
	if p.Consumer != nil {
		ids[2] = p.Consumer.ID
	}
	if p.ConsumerGroup != nil {
		ids[3] = p.ConsumerGroup.ID
	}
	return ids
}
