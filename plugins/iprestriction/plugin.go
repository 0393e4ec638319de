// Package iprestriction is the plugin ip-restriction: it lets requests pass by the address of their client.
package iprestriction

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is ip-restriction.
var Plugin = pdk.Plugin{
	Name:     "ip-restriction",
	Version:  "0.1.0",
	Priority: 990,
	New:      func() any { return new(instance) },
}

type instance struct {
	Config
	allow, deny networks
}

// Configure compiles the lists.
func (in *instance) Configure() error {
	if in.Config.Allow == nil && in.Config.Deny == nil {
		return &pdk.ConfigError{Path: "allow", Message: "allow and deny are both null, expected at least one list"}
	}
	var err error
	if in.allow, err = compile("allow", in.Config.Allow); err != nil {
		return err
	}
	in.deny, err = compile("deny", in.Config.Deny)
	return err
}

func compile(field string, entries *[]string) (networks, error) {
	if entries == nil {
		return nil, nil
	}
	n, wrong, err := parseNetworks(*entries)
	if err != nil {
		return nil, &pdk.ConfigError{Path: fmt.Sprintf("%s.%d", field, wrong), Message: err.Error()}
	}
	return n, nil
}

// Access refuses the addresses that are denied, and those that a list of allowed ones does not have.
func (in *instance) Access(k *pdk.PDK) error {
	text := k.Client.GetForwardedIP()
	address, err := netip.ParseAddr(text)
	if err != nil {
		return k.Response.Error(http.StatusForbidden, "Cannot identify the client IP address, unix domain sockets are not supported.", nil)
	}
	address = address.Unmap().WithZone("")
	if in.deny.contain(address) || len(in.allow) > 0 && !in.allow.contain(address) {
		return in.refuse(k, text)
	}
	return nil
}

func (in *instance) refuse(k *pdk.PDK, address string) error {
	status, message := http.StatusForbidden, "IP address not allowed: "+address
	if in.Status != nil {
		status = *in.Status
	}
	if in.Message != nil {
		message = *in.Message
	}
	return k.Response.Error(status, message, nil)
}
