package entity

// HMACAuthCredential is a user name of a consumer, with the secret that it signs with. Secrets of the credentials here are not part of their JSON.
type HMACAuthCredential struct {
	ID        string    `json:"id"`
	Username  string    `json:"username"`
	Secret    string    `json:"-"`
	Consumer  *Consumer `json:"-"`
	Tags      []string  `json:"tags,omitempty"`
	CreatedAt int64     `json:"created_at"`
	Pos       Pos       `json:"-"`
}

// JWTSecret is what tokens of a consumer are checked with.
type JWTSecret struct {
	ID           string    `json:"id"`
	Key          string    `json:"key"` // the issuer that tokens name
	Secret       string    `json:"-"`   // of the HS algorithms
	Algorithm    string    `json:"algorithm"`
	RSAPublicKey string    `json:"rsa_public_key,omitempty"` // PEM, of the other algorithms
	Consumer     *Consumer `json:"-"`
	Tags         []string  `json:"tags,omitempty"`
	CreatedAt    int64     `json:"created_at"`
	Pos          Pos       `json:"-"`
}

// OAuth2Credential is an application of a consumer.
type OAuth2Credential struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	ClientID     string    `json:"client_id"`
	ClientSecret string    `json:"-"`
	HashSecret   bool      `json:"hash_secret"`
	RedirectURIs []string  `json:"redirect_uris,omitempty"`
	ClientType   string    `json:"client_type"` // confidential, public
	Consumer     *Consumer `json:"-"`
	Tags         []string  `json:"tags,omitempty"`
	CreatedAt    int64     `json:"created_at"`
	Pos          Pos       `json:"-"`
}
