package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// strict has a configuration with every rule, and one that no schema can say.
type strict struct {
	Token  string         `json:"token" schema:"required,secret,minlen=8"`
	Mode   string         `json:"mode" schema:"default=loose,enum=strict|loose"`
	Limit  int            `json:"limit" schema:"default=5,min=1,max=10"`
	Ratio  float64        `json:"ratio" schema:"default=0.5,min=0,max=1"`
	Code   string         `json:"code" schema:"default=abc,pattern=^[a-z]+$"`
	Range  span           `json:"range"`
	Rules  []rule         `json:"rules" schema:"default=[],maxitems=2"`
	Limits map[string]int `json:"limits"`
}

type span struct {
	Low  int `json:"low" schema:"default=0"`
	High int `json:"high" schema:"default=10"`
}

type rule struct {
	Name string `json:"name" schema:"required,minlen=1"`
}

func newStrict() any {
	return &strict{Range: span{High: 10}, Rules: []rule{}, Limits: map[string]int{}}
}

func (s *strict) Configure() error {
	var wrong []error
	if s.Range.High < s.Range.Low {
		wrong = append(wrong, &pdk.ConfigError{Path: "range.high", Message: fmt.Sprintf("found %d, expected at least low, which is %d", s.Range.High, s.Range.Low)})
	}
	for i, r := range s.Rules {
		if r.Name == "nobody" {
			wrong = append(wrong, &pdk.ConfigError{Path: fmt.Sprintf("rules.%d.name", i), Message: "found a name that nobody has"})
		}
	}
	return errors.Join(wrong...)
}

// Access sends what the configuration came to.
func (s *strict) Access(k *pdk.PDK) error {
	shown := *s
	shown.Token = ""
	text, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	return k.ServiceRequest.SetHeader("X-Strict", string(text))
}

// hooked tells when its hooks and handlers run.
type hooked struct {
	Mark string `json:"mark"`
	Dir  string `json:"dir"`
}

func (h *hooked) tell(what string) { fmt.Fprintln(os.Stderr, "hooked", h.Mark, what) }

func (h *hooked) Configure() { h.tell("configured") }
func (h *hooked) Close()     { h.tell("closed") }

func (h *hooked) Access(k *pdk.PDK) error {
	if name, ok := k.Request.GetHeader("X-Hold"); ok {
		if err := os.WriteFile(filepath.Join(h.Dir, name), nil, 0o600); err != nil {
			return err
		}
		for !exists(filepath.Join(h.Dir, "release")) {
			time.Sleep(5 * time.Millisecond)
		}
	}
	h.tell("ran")
	return k.Response.SetHeader("X-Mark", h.Mark)
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// pieces counts the pieces in which a body passes.
type pieces struct {
	Buffer bool   `json:"buffer"`
	Fail   string `json:"fail"`
}

func (p *pieces) Access(k *pdk.PDK) error {
	if !p.Buffer {
		return nil
	}
	return k.ServiceRequest.EnableBuffering()
}

func (p *pieces) BodyFilter(k *pdk.PDK, chunk []byte, last bool) ([]byte, error) {
	n, _ := k.CtxShared.Get("pieces").(int64)
	if len(chunk) > 0 {
		n++
	}
	if last && p.Fail != "" {
		return nil, errors.New("boom")
	}
	if last {
		return fmt.Appendf(chunk, "|%d pieces", n), nil
	}
	if err := k.CtxShared.Set("pieces", n); err != nil || p.Fail != "changed" {
		return nil, err
	}
	return append([]byte("changed "), chunk...), nil
}

// whole reads the upstream's body in the response phase.
type whole struct{}

func (whole) Response(k *pdk.PDK) error {
	body, err := k.ServiceResponse.GetRawBody()
	if err != nil {
		return err
	}
	return k.Response.SetHeader("X-Whole", fmt.Sprint(len(body)))
}
