// Command go is the fault plugin server in Go. See README.md beside this directory.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

func main() {
	if _, err := os.Stat(filepath.Join(os.Getenv("CHAOS_DIR"), "exit")); err == nil {
		os.Exit(3)
	}
	server.Serve(
		pdk.Plugin{Name: "chaos-rewrite-go", Version: "0.1.0", Priority: 1000, New: func() any { return &rewrite{} }},
		pdk.Plugin{Name: "chaos-go", Version: "0.1.0", Priority: 990, New: func() any { return &gate{} }},
		pdk.Plugin{Name: "chaos-body-go", Version: "0.1.0", Priority: 980, New: func() any { return &body{} }},
		pdk.Plugin{Name: "chaos-response-go", Version: "0.1.0", Priority: 970, New: func() any { return &response{} }},
	)
}

// config of every plugin.
type config struct {
	Instance string `json:"instance" schema:"required"`
	Letter   string `json:"letter" schema:"default=x"`
}

// mark proves which instance worked on which request.
func (c *config) mark(k *pdk.PDK) string {
	nonce, _ := k.Request.GetHeader("X-Nonce")
	return c.Instance + " " + nonce
}

// obey does what the header X-Chaos orders for the phase.
func obey(k *pdk.PDK, phase string) error {
	header, ok := k.Request.GetHeader("X-Chaos")
	if !ok {
		return nil
	}
	words := strings.Fields(header)
	if len(words) < 2 || words[1] != phase {
		return nil
	}
	do, known := orders[words[0]]
	if !known {
		return fmt.Errorf("X-Chaos: found the order %q", words[0])
	}
	return do(words[2:])
}

type rewrite struct{ config }

func (r *rewrite) Rewrite(k *pdk.PDK) error {
	if err := obey(k, "rewrite"); err != nil {
		return err
	}
	return k.ServiceRequest.SetHeader("X-Chaos-Rewrite", r.mark(k))
}

type gate struct{ config }

func (g *gate) Access(k *pdk.PDK) error {
	if err := obey(k, "access"); err != nil {
		return err
	}
	if _, deny := k.Request.GetHeader("X-Deny"); deny {
		return k.Response.Exit(403, "denied by "+g.mark(k)+"\n", nil)
	}
	return k.ServiceRequest.SetHeader("X-Chaos-Access", g.mark(k))
}

func (g *gate) HeaderFilter(k *pdk.PDK) error {
	if err := obey(k, "header_filter"); err != nil {
		return err
	}
	return k.Response.SetHeader("X-Chaos-Filter", g.mark(k))
}

func (g *gate) Log(k *pdk.PDK) error { return obey(k, "log") }

type body struct{ config }

func (b *body) BodyFilter(k *pdk.PDK, chunk []byte, _ bool) ([]byte, error) {
	if err := obey(k, "body_filter"); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(chunk, []byte("?"), []byte(b.Letter)), nil
}

type response struct{ config }

func (r *response) Response(k *pdk.PDK) error {
	if err := obey(k, "response"); err != nil {
		return err
	}
	return k.Response.SetHeader("X-Chaos-Response", r.mark(k))
}
