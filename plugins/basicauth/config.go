package basicauth

// Config of an instance.
type Config struct {
	// Realm is named in the challenge of a 401.
	Realm string `json:"realm" schema:"required,minlen=1,pattern=^[^\\x00-\\x1f\\x7f]+$"`
	// HideCredentials removes each header that was examined before the request goes upstream.
	HideCredentials bool `json:"hide_credentials" schema:"default=false"`
	// Anonymous is the id or the username of the consumer of requests that cannot be authenticated; null refuses them.
	Anonymous *string `json:"anonymous" schema:"minlen=1"`
}
