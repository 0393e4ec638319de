// Package botdetection is the plugin bot-detection: it refuses programs that say in their User-Agent that they are bots.
package botdetection

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is bot-detection.
var Plugin = pdk.Plugin{
	Name:     "bot-detection",
	Version:  "0.1.0",
	Priority: 2500,
	New:      func() any { return &instance{Config: Config{Allow: &[]string{}, Deny: &[]string{}}} },
}

type instance struct {
	Config
	allow, deny []*regexp.Regexp
	bots        *marks
}

// Configure compiles the lists.
func (in *instance) Configure() (err error) {
	if in.allow, err = compile("allow", in.Config.Allow); err != nil {
		return err
	}
	if in.deny, err = compile("deny", in.Config.Deny); err != nil {
		return err
	}
	in.bots = knownBots()
	return nil
}

func compile(field string, list *[]string) ([]*regexp.Regexp, error) {
	if list == nil {
		return nil, nil
	}
	var all []*regexp.Regexp
	for i, text := range *list {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, &pdk.ConfigError{Path: fmt.Sprintf("%s.%d", field, i), Message: err.Error()}
		}
		all = append(all, re)
	}
	return all, nil
}

// Access refuses bots. A request that does not say what it comes from passes.
func (in *instance) Access(k *pdk.PDK) error {
	agent, ok := k.Request.GetHeader("User-Agent")
	if !ok {
		return nil
	}
	headers, err := k.Request.GetHeaders(1000)
	if err != nil {
		return err
	}
	if count(headers, "user-agent") > 1 {
		return k.Response.Error(http.StatusBadRequest, "Only one User-Agent header allowed", nil)
	}
	if in.refuses(agent) {
		return k.Response.Error(http.StatusForbidden, "", nil)
	}
	return nil
}

// count is the number of lines of one header; name as a MultiMap has it.
func count(headers pdk.MultiMap, name string) int {
	n := 0
	for other := range headers.All() {
		if other == name {
			n++
		}
	}
	return n
}

func (in *instance) refuses(agent string) bool {
	switch {
	case matchAny(in.allow, agent):
		return false
	case matchAny(in.deny, agent):
		return true
	}
	return in.bots.in(agent)
}

func matchAny(expressions []*regexp.Regexp, text string) bool {
	return slices.ContainsFunc(expressions, func(re *regexp.Regexp) bool { return re.MatchString(text) })
}
