/*
A plugin that writes one JSON line for each request into a file, with what earlier phases have left in the context.
*/
package main

import (
	"encoding/json"
	"log"
	"os"
	"sync"

	pdk "github.com/outrigger-gateway/outrigger/pdk/kongcompat"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/server"
)

func main() {
	if err := server.StartServer(New, Version, Priority, server.Name("log-shipper")); err != nil {
		log.Fatal(err)
	}
}

var Version = "1.1"
var Priority = 5

type Config struct {
	Path   string
	Reopen bool
	Labels []string
}

func New() interface{} {
	return &Config{}
}

var files sync.Mutex

func (conf *Config) Rewrite(kong *pdk.PDK) {
	path, _ := kong.Request.GetPath()
	kong.Ctx.SetShared("shipper.path", path)
	kong.Ctx.SetShared("shipper.weight", 3)
	kong.Nginx.SetCtx("shipper.tries", 2)
}

func (conf *Config) Log(kong *pdk.PDK) {
	path, err := kong.Ctx.GetSharedString("shipper.path")
	if err != nil {
		kong.Log.Err("path: ", err.Error())
	}
	weight, err := kong.Ctx.GetSharedFloat("shipper.weight")
	if err != nil {
		kong.Log.Err("weight: ", err.Error())
	}
	if _, err := kong.Ctx.GetSharedString("shipper.weight"); err == nil {
		kong.Log.Err("a number is a text")
	}
	tries, _ := kong.Nginx.GetCtxInt("shipper.tries")
	entry, err := kong.Log.Serialize()
	if err != nil {
		kong.Log.Err("serialize: ", err.Error())
		return
	}
	line, _ := json.Marshal(map[string]interface{}{"path": path, "weight": weight, "tries": tries, "labels": conf.Labels, "entry": json.RawMessage(entry)})

	files.Lock()
	defer files.Unlock()
	file, err := os.OpenFile(conf.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0644)
	if err != nil {
		kong.Log.Err("opening ", conf.Path, ": ", err.Error())
		return
	}
	defer file.Close()
	if _, err := file.Write(append(line, '\n')); err != nil {
		kong.Log.Err(err.Error())
	}
}
