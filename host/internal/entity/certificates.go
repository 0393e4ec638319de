package entity

// Certificate is a certificate with its key, for those who connect to the gateway. Nothing is served over TLS yet.
type Certificate struct {
	ID        string   `json:"id"`
	Cert      string   `json:"cert"` // PEM, or a reference to it, as all of the following
	Key       string   `json:"-"`
	CertAlt   string   `json:"cert_alt,omitempty"` // of another kind of key; "": none
	KeyAlt    string   `json:"-"`
	Tags      []string `json:"tags,omitempty"`
	CreatedAt int64    `json:"created_at"`
	UpdatedAt int64    `json:"updated_at"`
	Pos       Pos      `json:"-"`
}

// SNI is a name that a certificate is for.
type SNI struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"` // may have a "*" at one end
	Certificate *Certificate `json:"-"`
	Tags        []string     `json:"tags,omitempty"`
	CreatedAt   int64        `json:"created_at"`
	UpdatedAt   int64        `json:"updated_at"`
	Pos         Pos          `json:"-"`
}

// CACertificate is a certificate that others are checked with.
type CACertificate struct {
	ID         string   `json:"id"`
	Cert       string   `json:"cert"`        // PEM
	CertDigest string   `json:"cert_digest"` // SHA-256 of the certificate, lower-case hex
	Tags       []string `json:"tags,omitempty"`
	CreatedAt  int64    `json:"created_at"`
	UpdatedAt  int64    `json:"updated_at"`
	Pos        Pos      `json:"-"`
}

// KeySet is a named set of keys.
type KeySet struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Tags      []string `json:"tags,omitempty"`
	CreatedAt int64    `json:"created_at"`
	UpdatedAt int64    `json:"updated_at"`
	Pos       Pos      `json:"-"`
}

// Key is a key for plugins, as a JWK or in PEM form.
type Key struct {
	ID         string   `json:"id"`
	Name       string   `json:"name,omitempty"`
	KID        string   `json:"kid"`
	Set        *KeySet  `json:"-"` // nil: in none
	JWK        string   `json:"-"`
	PublicPEM  string   `json:"-"`
	PrivatePEM string   `json:"-"`
	Tags       []string `json:"tags,omitempty"`
	CreatedAt  int64    `json:"created_at"`
	UpdatedAt  int64    `json:"updated_at"`
	Pos        Pos      `json:"-"`
}

// Vault is a place of secrets under a name that references use.
type Vault struct {
	ID          string            `json:"id"`
	Prefix      string            `json:"prefix"` // the name in references
	Type        string            `json:"name"`   // of the provider: env, file
	Description string            `json:"description,omitempty"`
	Config      map[string]string `json:"config"`     // options of the provider, and how long secrets are kept
	OnFailure   string            `json:"on_failure"` // one of the OnFailure constants
	Tags        []string          `json:"tags,omitempty"`
	CreatedAt   int64             `json:"created_at"`
	UpdatedAt   int64             `json:"updated_at"`
	Pos         Pos               `json:"-"`
}

// What becomes of a plugin record with a reference that leads to no secret.
const (
	OnFailureReject  = "reject_config" // the configuration is refused
	OnFailureEmpty   = "empty"         // the field is empty, with a warning
	OnFailureRequest = "fail_request"  // requests that need the plugin are answered 503 until there is a secret
)
