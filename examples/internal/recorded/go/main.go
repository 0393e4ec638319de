// Command go is a plugin server with one plugin, picky-go, whose mistake is gone when PICKY is "fixed". The tests of the black box record it.
package main

import (
	"os"
	"strconv"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

func main() {
	server.Serve(pdk.Plugin{Name: "picky-go", Version: "0.1.0", Priority: 500, New: func() any { return &picky{} }})
}

type picky struct {
	Greeting string `json:"greeting" schema:"default=hello"`
	Key      string `json:"key" schema:"secret"`
}

// Access wants a number in X-Order; "hang" and "die" are what it does.
func (p *picky) Access(k *pdk.PDK) error {
	order, _ := k.Request.GetHeader("X-Order")
	body, err := k.Request.GetRawBody()
	if err != nil {
		return err
	}
	k.Log.Notice("order ", order)
	fixed := os.Getenv("PICKY") == "fixed"
	switch {
	case order == "hang" && !fixed:
		time.Sleep(time.Hour)
	case order == "die" && !fixed:
		os.Exit(3)
	case fixed:
		return k.ServiceRequest.SetHeader("X-Picky", p.Greeting+" "+order+" "+strconv.Itoa(len(body)))
	}
	n, err := strconv.Atoi(order)
	if err != nil {
		return err
	}
	return k.ServiceRequest.SetHeader("X-Picky", p.Greeting+" "+strconv.Itoa(n))
}
