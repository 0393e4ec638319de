package local

import (
	"errors"
	"fmt"
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

const (
	// maxGroups is the largest number of consumer groups in a list that a plugin gives.
	maxGroups = 100
	// MaxRequestGroups is the largest number of consumer groups that one request has: a consumer may be in more than a plugin may list.
	MaxRequestGroups = 1000
)

// Modes of client.set_authenticated_consumer_groups.
const (
	modeWrite  = "write"
	modeAppend = "append"
)

// ClientGetConsumerGroup implements pdk.Backend.
func (h *handle) ClientGetConsumerGroup() *pdk.ConsumerGroup {
	s := h.read(pdk.FnClientGetConsumerGroup)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	if len(s.view.groups) == 0 {
		return nil
	}
	return groupOf(s.view.groups[0])
}

// ClientGetConsumerGroups implements pdk.Backend.
func (h *handle) ClientGetConsumerGroups() []*pdk.ConsumerGroup {
	s := h.read(pdk.FnClientGetConsumerGroups)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	return groupsOf(s.view.groups)
}

func groupOf(g wire.Group) *pdk.ConsumerGroup { return &pdk.ConsumerGroup{ID: g.ID, Name: g.Name} }

func groupsOf(groups []wire.Group) []*pdk.ConsumerGroup {
	out := make([]*pdk.ConsumerGroup, len(groups))
	for i := range groups {
		out[i] = groupOf(groups[i])
	}
	return out
}

// ClientSetAuthenticatedConsumerGroup implements pdk.Backend.
func (h *handle) ClientSetAuthenticatedConsumerGroup(group *pdk.ConsumerGroup) error {
	var groups []*pdk.ConsumerGroup
	if group != nil {
		groups = []*pdk.ConsumerGroup{group}
	}
	return h.setGroups(pdk.FnClientSetAuthenticatedConsumerGroup, groups, modeWrite)
}

// ClientSetAuthenticatedConsumerGroups implements pdk.Backend.
func (h *handle) ClientSetAuthenticatedConsumerGroups(groups []*pdk.ConsumerGroup, mode string) error {
	return h.setGroups(pdk.FnClientSetAuthenticatedConsumerGroups, groups, mode)
}

func (h *handle) setGroups(fn int, given []*pdk.ConsumerGroup, mode string) error {
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if mode == "" {
		mode = modeWrite
	}
	groups := make([]wire.Group, len(given))
	for i, g := range given {
		if g != nil {
			groups[i] = wire.Group{ID: g.ID, Name: g.Name}
		}
	}
	if err := checkGroups(groups, mode, maxGroups); err != nil {
		return argError(fn, err)
	}
	s.recordGroups(groups, mode)
	return nil
}

func checkGroups(groups []wire.Group, mode string, most int) error {
	if mode != modeWrite && mode != modeAppend {
		return fmt.Errorf("mode %q is not %s or %s", mode, modeWrite, modeAppend)
	}
	if len(groups) > most {
		return fmt.Errorf("%d groups; at most %d are allowed", len(groups), most)
	}
	for i := range groups {
		if groups[i].ID == "" {
			return fmt.Errorf("group %d has no id", i+1)
		}
	}
	return nil
}

// recordGroups records groups that are checked. The session is locked.
func (s *Session) recordGroups(groups []wire.Group, mode string) {
	list := make([]any, len(groups))
	for i, g := range groups {
		list[i] = []any{g.ID, g.Name}
	}
	s.op(pdk.FnClientSetAuthenticatedConsumerGroups).Value = encodeArguments(list, mode)
	s.view.groups = withGroups(s.view.groups, groups, mode)
}

// withGroups is a new list of the groups that are set after a write or an append.
func withGroups(old, groups []wire.Group, mode string) []wire.Group {
	if mode == modeWrite {
		return slices.Clone(groups)
	}
	out := slices.Clone(old)
	for _, g := range groups {
		if !slices.ContainsFunc(out, func(o wire.Group) bool { return o.ID == g.ID }) {
			out = append(out, g)
		}
	}
	return out
}

// GroupsAfter is how many consumer groups there are at most after operations, where there were n before.
func GroupsAfter(n int, ops []wire.Op) int {
	for i := range ops {
		if ops[i].Code != wire.OpClientSetAuthenticatedConsumerGroups {
			continue
		}
		groups, mode, _ := groupsOfOp(&ops[i])
		if mode == modeWrite {
			n = 0
		}
		n += len(groups)
	}
	return n
}

// groupsOfOp reads the operation client.set_authenticated_consumer_groups.
func groupsOfOp(op *wire.Op) (groups []wire.Group, mode string, err error) {
	a := argumentsOf(op, 2)
	for _, item := range a.array(0) {
		pair, _ := item.([]any)
		if len(pair) != 2 {
			a.check(fmt.Errorf("group %v; expected id and name", item))
			break
		}
		groups = append(groups, wire.Group{ID: text(pair[0]), Name: text(pair[1])})
	}
	mode = a.text(1)
	if a.err == nil {
		a.err = checkGroups(groups, mode, MaxRequestGroups)
	}
	return groups, mode, a.err
}

// ClientAuthenticateConsumerGroupByConsumerID implements pdk.Backend.
func (h *handle) ClientAuthenticateConsumerGroupByConsumerID(consumerID string) ([]*pdk.ConsumerGroup, error) {
	const fn = pdk.FnClientAuthenticateConsumerGroupByConsumerID
	s, err := h.begin(fn)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if !isUUID(consumerID) {
		return nil, argError(fn, fmt.Errorf("consumer_id %q is not a UUID", consumerID))
	}
	answer, err := h.ask(s, fn, consumerID)
	if err != nil {
		return nil, err
	}
	groups, err := decodeGroups(answer.Value)
	if err != nil {
		return nil, strangeAnswer(fn, err)
	}
	s.recordGroups(groups, modeWrite)
	return groupsOf(groups), nil
}

// decodeGroups reads an array of maps; null is none.
func decodeGroups(raw []byte) ([]wire.Group, error) {
	if isNil(raw) {
		return nil, nil
	}
	v, err := wire.DecodeValue(raw)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("found %T, expected an array of consumer groups", v)
	}
	groups := make([]wire.Group, len(list))
	for i := range list {
		fields, _ := list[i].(map[string]any)
		if groups[i] = (wire.Group{ID: text(fields["id"]), Name: text(fields["name"])}); groups[i].ID == "" {
			return nil, errors.New("a consumer group without id")
		}
	}
	return groups, nil
}
