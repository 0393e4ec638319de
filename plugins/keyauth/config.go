package keyauth

// Config of an instance.
type Config struct {
	// KeyNames are tried in order; the first that is anywhere in the request decides.
	KeyNames []string `json:"key_names" schema:"required,minitems=1,pattern=^[A-Za-z0-9_-]+$"`
	// KeyInHeader, KeyInQuery and KeyInBody say where keys are looked for, in this order.
	KeyInHeader bool `json:"key_in_header"`
	KeyInQuery  bool `json:"key_in_query"`
	KeyInBody   bool `json:"key_in_body" schema:"default=false"`
	// HideCredentials removes the key before the request goes upstream.
	HideCredentials bool `json:"hide_credentials" schema:"default=false"`
	// Anonymous is the id or the username of the consumer of requests that cannot be authenticated; null refuses them.
	Anonymous *string `json:"anonymous" schema:"minlen=1"`
	// RunOnPreflight false lets OPTIONS requests pass.
	RunOnPreflight bool `json:"run_on_preflight"`
	// Realm is named in the challenge of a 401.
	Realm *string `json:"realm" schema:"minlen=1"`
}
