package cors

// Config of an instance.
type Config struct {
	// Origins that may read responses: *, an origin, or a regular expression for the whole of a host or an origin. Null is *.
	Origins *[]string `json:"origins" schema:"minlen=1"`
	// Methods, Headers and MaxAge, in seconds, answer preflights. Without Headers the answer has those that the client asks for.
	Methods *[]string `json:"methods" schema:"enum=GET|HEAD|PUT|PATCH|POST|DELETE|OPTIONS|TRACE|CONNECT"`
	Headers *[]string `json:"headers" schema:"format=header"`
	MaxAge  *int      `json:"max_age" schema:"min=-1"`
	// ExposedHeaders are those of a response that scripts may read.
	ExposedHeaders *[]string `json:"exposed_headers" schema:"format=header"`
	// Credentials lets scripts send cookies and the like.
	Credentials bool `json:"credentials" schema:"default=false"`
	// PrivateNetwork lets pages of public networks in.
	PrivateNetwork bool `json:"private_network" schema:"default=false"`
	// PreflightContinue leaves preflights to the upstream.
	PreflightContinue bool `json:"preflight_continue" schema:"default=false"`
	// AllowOriginAbsent adds headers to responses of requests without Origin too.
	AllowOriginAbsent bool `json:"allow_origin_absent"`
}

// methods are all that a configuration may list, and the default.
func methods() []string {
	return []string{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
}
