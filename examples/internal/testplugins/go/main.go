// Command go is a plugin server whose plugins misbehave as the tests of the whole gateway ask for. See README.md beside this directory.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

func main() {
	server.Serve(append(
		served(),
		pdk.Plugin{Name: "fault-go", Version: "0.1.0", Priority: 1000, New: func() any { return &fault{behaviour{Do: "nothing", Phase: "access"}} }},
		pdk.Plugin{Name: "fault-response-go", Version: "0.1.0", Priority: 1000, New: func() any {
			return &faultResponse{behaviour{Do: "nothing", Phase: "response"}}
		}},
		pdk.Plugin{Name: "login-go", Version: "0.1.0", Priority: 1100, Authenticates: true, New: func() any { return &login{Do: "nothing"} }},
		pdk.Plugin{Name: "sneak-go", Version: "0.1.0", Priority: 1100, New: func() any { return &login{Do: "nothing"} }},
		pdk.Plugin{Name: "body-go", Version: "0.1.0", Priority: 1000, New: func() any { return &body{} }},
		pdk.Plugin{Name: "need-go", Version: "0.1.0", Priority: 1000, Needs: pdk.NeedRequestBody, New: func() any { return &body{} }},
		pdk.Plugin{Name: "sample-go", Version: "0.1.0", Priority: 990, New: func() any { return &sample{} }},
		pdk.Plugin{Name: "relay-go", Version: "0.1.0", Priority: 980, New: func() any { return &relay{} }},
		pdk.Plugin{Name: "show-go", Version: "0.1.0", Priority: 970, New: func() any { return &show{} }},
		pdk.Plugin{Name: "strict-go", Version: "0.1.0", Priority: 960, New: newStrict},
		pdk.Plugin{Name: "waits-go", Version: "0.1.0", Priority: 1000, New: func() any { return &waits{} }},
		pdk.Plugin{Name: "reach-go", Version: "0.1.0", Priority: 1000, New: func() any { return &reach{} }},
		pdk.Plugin{Name: "group-go", Version: "0.1.0", Priority: 900, New: func() any { return &group{} }},
		pdk.Plugin{Name: "hooked-go", Version: "0.1.0", Priority: 950, New: func() any { return &hooked{} }},
		pdk.Plugin{Name: "pieces-go", Version: "0.1.0", Priority: 940, New: func() any { return &pieces{} }},
		pdk.Plugin{Name: "whole-go", Version: "0.1.0", Priority: 930, New: func() any { return &whole{} }},
		pdk.Plugin{Name: "need-whole-go", Version: "0.1.0", Priority: 930, Needs: pdk.NeedResponseBody, New: func() any { return &whole{} }},
	)...)
}

// behaviour is the configuration of the plugins that fail.
type behaviour struct {
	Do    string `json:"do"`
	Phase string `json:"phase"`
	MS    int    `json:"ms"`
	Dir   string `json:"dir"`
}

// fault fails in one phase.
type fault struct{ behaviour }

func (f *fault) Rewrite(k *pdk.PDK) error      { return f.act(k, "rewrite") }
func (f *fault) Access(k *pdk.PDK) error       { return f.act(k, "access") }
func (f *fault) HeaderFilter(k *pdk.PDK) error { return f.act(k, "header_filter") }
func (f *fault) Log(k *pdk.PDK) error          { return f.act(k, "log") }

func (f *fault) BodyFilter(k *pdk.PDK, _ []byte, last bool) ([]byte, error) {
	if !last {
		return nil, nil
	}
	return nil, f.act(k, "body_filter")
}

// faultResponse fails in the response phase.
type faultResponse struct{ behaviour }

func (f *faultResponse) Response(k *pdk.PDK) error { return f.act(k, "response") }

func (b *behaviour) act(k *pdk.PDK, phase string) error {
	if phase != b.Phase {
		return nil
	}
	switch b.Do {
	case "raise":
		panic("boom")
	case "raise-after-read":
		k.Request.GetHeader("Host")
		return errors.New("boom")
	case "raise-between":
		if err := mark(k, phase); err != nil {
			return err
		}
		if _, ok := k.Request.GetHeader("Host"); ok {
			return errors.New("boom")
		}
		return mark(k, phase)
	case "raise-after-write":
		if err := mark(k, phase); err != nil {
			return err
		}
		panic("boom")
	case "raise-odd":
		runtime.Goexit()
	case "raise-loud":
		return errors.New(strings.Repeat("boom\xff", 1<<18))
	case "sleep":
		time.Sleep(time.Duration(b.MS) * time.Millisecond)
		return mark(k, phase)
	case "edit":
		return errors.Join(k.Response.SetStatus(299), k.Response.SetHeader("X-Fault", "left"), k.Response.AddHeader("X-Up", "more"), k.Response.ClearHeader("X-Gone"))
	case "hold":
		if err := b.hold(k); err != nil {
			return err
		}
		return mark(k, phase)
	case "exit", "exit-swallowed", "exit-raise", "exit-sleep":
		return b.exit(k, phase)
	case "log":
		for _, write := range []func(...any){k.Log.Debug, k.Log.Info, k.Log.Notice, k.Log.Warn, k.Log.Err, k.Log.Crit, k.Log.Alert, k.Log.Emerg} {
			write("a line ", 1, " é\xff\nof two")
		}
	case "print":
		fmt.Print("printed to stdout\nin two lines\n")
		fmt.Fprint(os.Stderr, "printed \xff to stderr\n")
	case "die":
		os.Exit(3)
	}
	return nil
}

// hold says that it is there, and waits until it is released.
func (b *behaviour) hold(k *pdk.PDK) error {
	name, _ := k.Request.GetHeader("X-Hold")
	if err := os.WriteFile(filepath.Join(b.Dir, name), nil, 0o600); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(filepath.Join(b.Dir, "release")); err == nil {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *behaviour) exit(k *pdk.PDK, phase string) error {
	if err := k.Response.Exit(418, "exited", nil); err != nil {
		return err
	}
	switch b.Do {
	case "exit-swallowed":
		if mark(k, phase) == nil {
			panic("a write after the exit was taken")
		}
	case "exit-raise":
		panic("boom")
	case "exit-sleep":
		time.Sleep(time.Duration(b.MS) * time.Millisecond)
	}
	return nil
}

// mark writes what can be seen, where the phase allows it.
func mark(k *pdk.PDK, phase string) error {
	if phase == "access" || phase == "rewrite" {
		if err := k.ServiceRequest.SetHeader("X-Fault", "left"); err != nil {
			return err
		}
	}
	if phase == "log" || phase == "body_filter" {
		return nil
	}
	return k.Response.SetHeader("X-Fault", "left")
}

// login sets the consumer that a header names.
type login struct {
	Do string `json:"do"`
}

func (l *login) Access(k *pdk.PDK) error {
	name, ok := k.Request.GetHeader("X-User")
	if !ok {
		return k.Response.Exit(401, "who is there?", nil)
	}
	consumer, err := k.Client.LoadConsumer(name, true)
	if err != nil {
		return err
	}
	if consumer == nil {
		return k.Response.Exit(401, "unknown", nil)
	}
	if err := k.Client.Authenticate(consumer, nil); err != nil {
		return err
	}
	if l.Do == "raise" {
		panic("boom")
	}
	return k.ServiceRequest.SetHeader("X-Who", consumer.Username)
}

// body looks at the request body.
type body struct{}

func (*body) Access(k *pdk.PDK) error {
	b, err := k.Request.GetRawBody()
	var coded *pdk.Error
	if _, catches := k.Request.GetHeader("X-Catch"); catches && errors.As(err, &coded) {
		return k.ServiceRequest.SetHeader("X-Body", coded.Code)
	}
	if err != nil {
		return err
	}
	if err := k.ServiceRequest.SetHeader("X-Body", fmt.Sprintf("%x %d", sha256.Sum256(b), len(b))); err != nil {
		return err
	}
	if text, ok := k.Request.GetHeader("X-Replace"); ok {
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		if err := k.ServiceRequest.SetRawBody(bytes.Repeat([]byte("r"), n)); err != nil {
			return err
		}
	}
	if _, ok := k.Request.GetHeader("X-Raise"); ok {
		panic("boom")
	}
	return nil
}

// sample puts the JSON of a header into ctx.shared.
type sample struct{}

func (sample) Access(k *pdk.PDK) error {
	text, _ := k.Request.GetHeader("X-Sample")
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return err
	}
	return k.CtxShared.Set("sample", value)
}

// relay reads it and puts it back under another key.
type relay struct{}

func (relay) Access(k *pdk.PDK) error { return k.CtxShared.Set("relayed", k.CtxShared.Get("sample")) }

// show sends what relay left to the upstream.
type show struct{}

func (show) Access(k *pdk.PDK) error {
	text, err := json.Marshal(k.CtxShared.Get("relayed"))
	if err != nil {
		return err
	}
	return k.ServiceRequest.SetHeader("X-Sample-Out", string(text))
}
