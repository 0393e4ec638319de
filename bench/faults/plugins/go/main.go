// Command go is the plugin server of the load with faults in Go. See README.md beside this directory.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

func main() {
	name := os.Getenv("FAULTS_SERVER")
	server.Serve(
		pdk.Plugin{Name: "faults-token-" + name, Version: "0.1.0", Priority: 1000, New: func() any { return &token{name} }},
		pdk.Plugin{Name: "faults-exit-" + name, Version: "0.1.0", Priority: 990, New: func() any { return &exit{} }},
		pdk.Plugin{Name: "faults-body-" + name, Version: "0.1.0", Priority: 980, New: func() any { return &body{name} }},
	)
}

// tokenOf is the token of a request.
func tokenOf(k *pdk.PDK) string {
	token, _ := k.Request.GetHeader("X-Token")
	return token
}

type token struct{ server string }

func (t *token) Access(k *pdk.PDK) error {
	own := tokenOf(k)
	if err := k.CtxPlugin.Set("token", own); err != nil {
		return err
	}
	return k.ServiceRequest.SetHeader("X-Seen-"+t.server, own)
}

func (t *token) Response(k *pdk.PDK) error {
	own, kept := tokenOf(k), k.CtxPlugin.Get("token")
	theirs, said := k.ServiceResponse.GetHeader("X-Token")
	if kept != any(own) || said && theirs != own {
		return k.Response.SetHeader("X-Crossed", fmt.Sprintf("%s: kept %v, asked by %s, answered to %s", t.server, kept, own, theirs))
	}
	return k.Response.SetHeader("X-Checked-"+t.server, own)
}

type exit struct{}

func (*exit) Access(k *pdk.PDK) error {
	wanted, ok := k.Request.GetHeader("X-Exit")
	if !ok {
		return nil
	}
	size, err := strconv.Atoi(wanted)
	if err != nil {
		return fmt.Errorf("X-Exit: %w", err)
	}
	line := tokenOf(k) + "\n"
	return k.Response.Exit(403, bytes.Repeat([]byte(line), size/len(line)+1)[:size], map[string][]string{"X-Token": {tokenOf(k)}})
}

type body struct{ server string }

func (b *body) Access(k *pdk.PDK) error {
	data, err := k.Request.GetRawBody()
	if err != nil {
		return err
	}
	return k.ServiceRequest.SetHeader("X-Sum-"+b.server, digest(data))
}

func (b *body) Response(k *pdk.PDK) error {
	data, err := k.ServiceResponse.GetRawBody()
	if err != nil {
		return err
	}
	return k.Response.SetHeader("X-Digest-"+b.server, digest(data))
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
