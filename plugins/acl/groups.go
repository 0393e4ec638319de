package acl

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// authenticatedGroups are the groups that another plugin found, such as session: ctx.shared holds their names in a list, as in Kong.
func authenticatedGroups(k *pdk.PDK) []string {
	const key = "authenticated_groups"
	value := k.CtxShared.Get(key)
	if value == nil {
		return nil
	}
	groups, ok := texts(value)
	if !ok {
		k.Log.Warn(fmt.Sprintf("ctx.shared holds %T as %s, expected a list of group names", value, key))
	}
	return groups
}

// texts reads a list of non-empty texts; ok is false for anything else.
func texts(value any) (list []string, ok bool) {
	items, ok := value.([]any)
	if !ok {
		return nil, false
	}
	for _, item := range items {
		text, ok := item.(string)
		if !ok || text == "" {
			return nil, false
		}
		list = append(list, text)
	}
	return list, true
}

// groupsOf lists the groups of the consumer, which may be nil, in order of name; behind them, if configured, its consumer groups in their order.
func (in *instance) groupsOf(k *pdk.PDK, consumer *pdk.Consumer) ([]string, error) {
	var groups []string
	if consumer != nil {
		of, err := k.Client.LoadCredential("acls", consumer.ID)
		if err != nil {
			return nil, fmt.Errorf("loading the groups of consumer %s: %w", consumer.ID, err)
		}
		if of != nil {
			groups, _ = texts(of.Fields["groups"])
		}
	}
	if !in.IncludeConsumerGroups {
		return groups, nil
	}
	more, err := consumerGroups(k, consumer)
	if err != nil {
		return nil, fmt.Errorf("loading the consumer groups of consumer %s: %w", consumer.ID, err)
	}
	for _, g := range more {
		if g.Name != "" && !slices.Contains(groups, g.Name) {
			groups = append(groups, g.Name)
		}
	}
	return groups, nil
}

// consumerGroups are those that another plugin set, else those that the configuration gives the consumer.
func consumerGroups(k *pdk.PDK, consumer *pdk.Consumer) ([]*pdk.ConsumerGroup, error) {
	if set := k.Client.GetConsumerGroups(); len(set) > 0 || consumer == nil {
		return set, nil
	}
	groups, err := k.Client.AuthenticateConsumerGroupByConsumerID(consumer.ID)
	if errors.Is(err, pdk.ErrData) || errors.Is(err, pdk.ErrArg) {
		return nil, nil // a consumer that the configuration does not know
	}
	return groups, err
}

// failed answers when the host could not say which groups there are. A call that has ended stays an error.
func failed(k *pdk.PDK, err error) error {
	if errors.Is(err, pdk.ErrPhase) {
		return err
	}
	k.Log.Err(err)
	return k.Response.Error(http.StatusInternalServerError, "An unexpected error occurred", nil)
}
