package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// waits waits until nobody waits for it.
type waits struct {
	Dir  string `json:"dir" schema:"default="`
	Hang bool   `json:"hang" schema:"default=false"`
}

func (w *waits) Configure() error {
	for w.Hang {
		if _, err := os.Stat(filepath.Join(w.Dir, "release")); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

func (w *waits) Access(k *pdk.PDK) error {
	name, ok := k.Request.GetHeader("X-Hold")
	if !ok {
		return k.Response.SetHeader("X-Waits", "served")
	}
	if err := os.WriteFile(filepath.Join(w.Dir, "began-"+name), nil, 0o600); err != nil {
		return err
	}
	if err := k.ServiceRequest.SetHeader("X-Fault", "left"); err != nil {
		return err
	}
	<-k.Context().Done()
	found := "taken"
	if err := k.ServiceRequest.SetHeader("X-Fault", "late"); err != nil {
		found = "refused"
	}
	return os.WriteFile(filepath.Join(w.Dir, "stopped-"+name), []byte(found), 0o600)
}
