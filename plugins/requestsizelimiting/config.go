package requestsizelimiting

// Config of an instance.
type Config struct {
	// AllowedPayloadSize is the size of the largest body that may pass, in SizeUnit. Its limit keeps the number of bytes below 2^63.
	AllowedPayloadSize int64 `json:"allowed_payload_size" schema:"min=0,max=8796093022207"`
	// SizeUnit: megabytes are 1048576 bytes, kilobytes 1024.
	SizeUnit string `json:"size_unit" schema:"enum=megabytes|kilobytes|bytes"`
	// RequireContentLength refuses requests that neither say how long their body is nor send it in chunks.
	RequireContentLength bool `json:"require_content_length" schema:"default=false"`
}

// bytes is the size of the largest body that may pass.
func (c *Config) bytes() uint64 {
	switch c.SizeUnit {
	case "megabytes":
		return uint64(c.AllowedPayloadSize) << 20
	case "kilobytes":
		return uint64(c.AllowedPayloadSize) << 10
	}
	return uint64(c.AllowedPayloadSize)
}
