package entity

// Manifest is what a plugin says about itself.
type Manifest struct {
	Name     string
	Version  string
	Priority int
	Phases   []string // by name: rewrite, access, response, header_filter, body_filter, log
	Schema   []byte   // JSON Schema 2020-12 of the configuration; empty: anything goes
	// Authenticates says that the plugin sets the consumer.
	Authenticates bool
	Needs         []string // request_body, response_body
	Server        string   // plugin server that hosts it; "" for a built-in plugin
	FailMode      string   // the server's fail mode, used by records without one; "" is closed
	FailModeFrom  string   // where FailMode is set, for messages
	Ref           string   // of a clone: the plugin whose code it is
}

// Code is the plugin whose code it is: its own name, unless it is a clone.
func (m *Manifest) Code() string {
	if m.Ref != "" {
		return m.Ref
	}
	return m.Name
}

// Clone is the manifest of a plugin of another name with the same code.
func (m *Manifest) Clone(c *ClonedPlugin) Manifest {
	own := *m
	own.Name, own.Ref = c.Name, m.Name
	if c.Priority != nil {
		own.Priority = *c.Priority
	}
	return own
}

// Origin says where the plugin comes from, for messages.
func (m *Manifest) Origin() string {
	if m.Server == "" {
		return "built in"
	}
	return `plugin server "` + m.Server + `"`
}
