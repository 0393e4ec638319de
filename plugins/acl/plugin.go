// Package acl is the plugin acl: it lets requests pass, or refuses them, by the groups of their consumer.
package acl

import (
	"net/http"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is acl.
var Plugin = pdk.Plugin{
	Name:     "acl",
	Version:  "0.1.0",
	Priority: 950,
	New:      func() any { return &instance{} },
}

type instance struct {
	Config
	listed map[string]bool // the groups of allow or deny
}

// Configure checks that there is one list, and prepares it.
func (in *instance) Configure() error {
	list := in.Allow
	switch {
	case in.Allow == nil && in.Deny == nil:
		return &pdk.ConfigError{Path: "allow", Message: "found neither allow nor deny, expected one of them"}
	case in.Allow != nil && in.Deny != nil:
		return &pdk.ConfigError{Path: "deny", Message: "found allow and deny, expected one of them"}
	case in.Allow == nil:
		list = in.Deny
	}
	in.listed = make(map[string]bool, len(*list))
	for _, group := range *list {
		in.listed[group] = true
	}
	return nil
}

// Headers by which the upstream learns of groups.
const (
	consumerHeader      = "X-Consumer-Groups"
	authenticatedHeader = "X-Authenticated-Groups"
)

// Access finds the groups of the request and decides.
func (in *instance) Access(k *pdk.PDK) error {
	consumer, credential := k.Client.GetConsumer(), k.Client.GetCredential()
	anonymous := consumer != nil && credential == nil
	if consumer == nil || anonymous || in.AlwaysUseAuthenticatedGroups {
		if groups := authenticatedGroups(k); len(groups) > 0 {
			return in.decide(k, groups, authenticatedHeader)
		}
	}
	groups, err := in.groupsOf(k, consumer)
	switch {
	case err != nil:
		return failed(k, err)
	case len(groups) > 0:
		return in.decide(k, groups, consumerHeader)
	case consumer == nil && credential == nil, anonymous && in.Allow != nil:
		return k.Response.Error(http.StatusUnauthorized, "", nil)
	case consumer == nil:
		return forbid(k)
	}
	return in.decide(k, nil, consumerHeader)
}

// decide lets a request pass or refuses it. header tells the upstream of the groups; what the client sent under these names is removed.
func (in *instance) decide(k *pdk.PDK, groups []string, header string) error {
	if slices.ContainsFunc(groups, func(group string) bool { return in.listed[group] }) != (in.Allow != nil) {
		return forbid(k)
	}
	value := strings.Join(groups, ", ")
	for _, name := range [...]string{consumerHeader, authenticatedHeader} {
		var err error
		if name == header && value != "" && !in.HideGroupsHeader {
			err = k.ServiceRequest.SetHeader(name, value)
		} else {
			err = k.ServiceRequest.ClearHeader(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func forbid(k *pdk.PDK) error {
	return k.Response.Error(http.StatusForbidden, "You cannot consume this service", nil)
}
