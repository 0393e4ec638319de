/*
A plugin that lets only those pass who know a key: the query argument "key", or a header of a configured name.
*/
package main

import (
	"encoding/json"
	"log"

	pdk "github.com/outrigger-gateway/outrigger/pdk/kongcompat"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/client"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/entities"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/server"
)

func main() {
	if err := server.StartServer(New, Version, Priority, server.Name("key-checker"), server.Authenticates()); err != nil {
		log.Fatal(err)
	}
}

var Version = "1.0"
var Priority = 1000

type Config struct {
	Apikey     string            `json:"apikey"`
	HeaderName string            `json:"header_name"`
	Consumers  map[string]string `json:"consumers"` // username by key
	Codes      []int             `json:"codes"`
	Retry      struct {
		After uint `json:"after"`
	} `json:"retry"`
}

func New() interface{} {
	return &Config{HeaderName: "x-api-key"}
}

func (conf Config) Access(kong *pdk.PDK) {
	key, err := kong.Request.GetQueryArg("key")
	if err != nil {
		kong.Log.Err(err.Error())
	}
	if key == "" {
		key, err = kong.Request.GetHeader(conf.HeaderName)
		if err != nil {
			kong.Log.Err(err.Error())
		}
	}

	if name, known := conf.Consumers[key]; known {
		consumer, err := kong.Client.LoadConsumer(name, true)
		if err != nil || consumer.Id == "" {
			kong.Log.Warn("no consumer ", name)
		} else if err := kong.Client.Authenticate(&entities.Consumer{Id: consumer.Id, Username: consumer.Username}, &client.AuthenticatedCredential{Id: key}); err != nil {
			kong.Log.Err(err.Error())
		}
		return
	}

	if key != conf.Apikey || key == "" {
		status := 403
		if len(conf.Codes) > 0 {
			status = conf.Codes[0]
		}
		headers := make(map[string][]string)
		headers["Content-Type"] = []string{"application/json"}
		body, _ := json.Marshal(map[string]string{"message": "You have no correct key"})
		kong.Response.Exit(status, body, headers)
	}

	// As in Kong, the handler goes on after Exit, and what it asks then is an error.
	if err := kong.ServiceRequest.SetHeader("x-checked", "yes"); err != nil {
		lastError = err
	}
}

// lastError is what the test looks at.
var lastError error
