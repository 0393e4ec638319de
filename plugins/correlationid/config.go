package correlationid

// Config of an instance.
type Config struct {
	// HeaderName carries the id.
	HeaderName string `json:"header_name" schema:"pattern=^[A-Za-z0-9_-]+$"`
	// Generator makes ids: a UUID for each; the UUID of this instance and a counter; or where and when the request was taken.
	Generator string `json:"generator" schema:"enum=uuid|uuid#counter|tracker"`
	// EchoDownstream puts the id into the response too.
	EchoDownstream bool `json:"echo_downstream" schema:"default=false"`
}
