// Package ratelimiting is the plugin rate-limiting: it limits how many requests of one client pass in fixed windows of time.
package ratelimiting

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// New makes rate-limiting. All instances of the value have their counters in one place, so that those of a record stay when it is loaded again.
func New() pdk.Plugin { return plugin(newCounters(time.Now)) }

func plugin(c *counters) pdk.Plugin {
	return pdk.Plugin{
		Name:     "rate-limiting",
		Version:  "0.1.0",
		Priority: 910,
		New:      func() any { return &instance{Config: defaults(), counters: c} },
	}
}

type instance struct {
	Config
	counters *counters
	limits   limits
	limit    [periods]string // the limits as text
}

// Configure prepares the limits.
func (in *instance) Configure() {
	in.limits = in.Config.limits()
	for p, limit := range in.limits {
		in.limit[p] = strconv.FormatFloat(limit, 'f', -1, 64)
	}
}

// Access counts the request, or answers it when a limit is used up.
func (in *instance) Access(k *pdk.PDK) error {
	by, who, err := in.identify(k)
	if err != nil {
		if errors.Is(err, pdk.ErrPhase) {
			return err
		}
		k.Log.Err("failed to get usage: ", err)
		if in.FaultTolerant {
			return nil
		}
		return k.Response.Error(http.StatusInternalServerError, "An unexpected error occurred", nil)
	}
	v := in.counters.take(key{k.Plugin.GetID(), by, who}, &in.limits)
	if !in.HideClientHeaders {
		if err := in.tell(k, &v); err != nil {
			return err
		}
	}
	if v.blocked {
		return k.Response.Error(in.ErrorCode, in.ErrorMessage, nil)
	}
	return nil
}

// identify says whose request it is. Where limit_by finds nobody, it is that of the client's address.
func (in *instance) identify(k *pdk.PDK) (by kind, who string, err error) {
	switch in.LimitBy {
	case "consumer":
		if c := k.Client.GetConsumer(); c != nil && c.ID != "" {
			return byConsumer, c.ID, nil
		}
		if c := k.Client.GetCredential(); c != nil && c.ID != "" {
			return byCredential, c.ID, nil
		}
	case "credential":
		if c := k.Client.GetCredential(); c != nil && c.ID != "" {
			return byCredential, c.ID, nil
		}
	case "service":
		if s := k.Router.GetService(); s != nil {
			return byService, s.ID, nil
		}
	case "header":
		if value, _ := k.Request.GetHeader(*in.HeaderName); value != "" {
			return byHeader, value, nil
		}
	case "path":
		if k.Request.GetPath() == *in.Path {
			return byPath, *in.Path, nil
		}
	case "consumer-group":
		if id, err := consumerGroup(k); id != "" || err != nil {
			return byConsumerGroup, id, err
		}
	}
	return byIP, k.Client.GetForwardedIP(), nil
}

// consumerGroup is the id of the first group that another plugin set, else of the first that the configuration gives the consumer; "": none.
func consumerGroup(k *pdk.PDK) (string, error) {
	if g := k.Client.GetConsumerGroup(); g != nil {
		return g.ID, nil
	}
	consumer := k.Client.GetConsumer()
	if consumer == nil {
		return "", nil
	}
	groups, err := k.Client.AuthenticateConsumerGroupByConsumerID(consumer.ID)
	switch {
	case errors.Is(err, pdk.ErrData), errors.Is(err, pdk.ErrArg): // a consumer that the configuration does not know
		return "", nil
	case err != nil:
		return "", fmt.Errorf("loading the consumer groups of consumer %s: %w", consumer.ID, err)
	case len(groups) == 0:
		return "", nil
	}
	return groups[0].ID, nil
}
