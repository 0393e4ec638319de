package requesttermination

import (
	"errors"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Config of an instance.
type Config struct {
	StatusCode int `json:"status_code" schema:"min=100,max=599"`
	// Message of a JSON body; without it, a few statuses have one of their own.
	Message *string `json:"message" schema:"minlen=1"`
	// Body is sent as it is, with ContentType if that is given.
	Body        *string `json:"body" schema:"minlen=1"`
	ContentType *string `json:"content_type" schema:"pattern=^[!-~][ -~]*$"`
	// Echo answers with what the gateway knows of the request.
	Echo bool `json:"echo" schema:"default=false"`
	// Trigger is a header or a query argument; only requests that have it are answered.
	Trigger *string `json:"trigger" schema:"format=header"`
}

// Validate checks the fields that exclude each other.
func (c *Config) Validate() error {
	var errs []error
	refuse := func(path, message string) { errs = append(errs, &pdk.ConfigError{Path: path, Message: message}) }
	hasBody := c.Body != nil || c.ContentType != nil
	if c.Message != nil && hasBody {
		refuse("message", "is given beside body or content_type, expected one or the other")
	}
	if c.ContentType != nil && c.Body == nil {
		refuse("content_type", "is given without a body, expected body too")
	}
	if c.Echo && hasBody {
		refuse("echo", "is true beside body or content_type, expected one or the other")
	}
	return errors.Join(errs...)
}
