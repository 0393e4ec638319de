/*
A plugin that rewrites the request for the upstream service and, when the response is there, its headers and status.
*/
package main

import (
	"log"
	"strconv"
	"strings"

	pdk "github.com/outrigger-gateway/outrigger/pdk/kongcompat"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/request"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/server"
)

func main() {
	if err := server.StartServer(New, Version, Priority, server.Name("headers")); err != nil {
		log.Fatal(err)
	}
}

var Version = "2.0"
var Priority = 700

type Config struct {
	Remove []string
	Prefix string
	Target struct {
		Host string
		Port int
	}
}

func New() interface{} {
	return &Config{Prefix: "/v2"}
}

// first is a helper that takes one of the parts of the PDK.
func first(r request.Request, names ...string) string {
	for _, name := range names {
		if value, err := r.GetHeader(name); err == nil && value != "" {
			return value
		}
	}
	return ""
}

func (conf Config) Access(kong *pdk.PDK) {
	for _, name := range conf.Remove {
		kong.ServiceRequest.ClearHeader(name)
	}
	path, _ := kong.Request.GetPath()
	kong.ServiceRequest.SetPath(conf.Prefix + path)
	kong.ServiceRequest.SetQuery(map[string][]string{"from": {first(kong.Request, "x-first", "x-second")}, "n": {"1", "2"}})
	kong.ServiceRequest.SetRawBody(strings.ToUpper(body(kong)))
	if conf.Target.Host != "" {
		if err := kong.Service.SetTarget(conf.Target.Host, conf.Target.Port); err != nil {
			kong.Log.Err(err.Error())
		}
	}
	route, _ := kong.Router.GetRoute()
	service, _ := kong.Router.GetService()
	kong.ServiceRequest.SetHeader("x-route", route.Name+" to "+service.Name)
}

func body(kong *pdk.PDK) string {
	raw, err := kong.Request.GetRawBody()
	if err != nil {
		kong.Log.Err(err.Error())
	}
	return string(raw)
}

func (conf Config) Response(kong *pdk.PDK) {
	status, _ := kong.ServiceResponse.GetStatus()
	headers, _ := kong.ServiceResponse.GetHeaders(-1)
	for _, name := range conf.Remove {
		kong.Response.ClearHeader(name)
	}
	kong.Response.SetHeader("x-upstream-status", strconv.Itoa(status))
	kong.Response.AddHeader("x-upstream-headers", strconv.Itoa(len(headers)))
	if status == 500 {
		kong.Response.SetStatus(502)
	}
	if status == 418 {
		kong.Response.ExitStatus(999) // Kong refuses it too
	}
}
