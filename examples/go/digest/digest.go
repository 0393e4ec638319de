// Package digest adds the hash of the upstream's body to the response.
package digest

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is digest-go.
var Plugin = pdk.Plugin{
	Name:     "digest-go",
	Version:  "0.1.0",
	Priority: 200,
	New:      func() any { return &digest{} },
}

// digest has no configuration.
type digest struct{}

// Rewrite marks the request. It runs before the router, so only when the plugin is configured globally.
func (*digest) Rewrite(k *pdk.PDK) error {
	return k.ServiceRequest.SetHeader("X-Rewritten-Go", "1")
}

// Response hashes the whole body. Asking for it is what makes the gateway buffer it.
func (*digest) Response(k *pdk.PDK) error {
	body, err := k.ServiceResponse.GetRawBody()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	return k.Response.SetHeader("X-Digest-Go", "sha256="+hex.EncodeToString(sum[:]))
}
