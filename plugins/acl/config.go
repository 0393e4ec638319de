package acl

// Config of an instance.
type Config struct {
	// Allow lists the groups that may pass, Deny those that may not. One of them must be given.
	Allow *[]string `json:"allow" schema:"minlen=1"`
	Deny  *[]string `json:"deny" schema:"minlen=1"`
	// HideGroupsHeader keeps the groups from the upstream.
	HideGroupsHeader bool `json:"hide_groups_header" schema:"default=false"`
	// AlwaysUseAuthenticatedGroups prefers the groups that another plugin found to those of the consumer.
	AlwaysUseAuthenticatedGroups bool `json:"always_use_authenticated_groups" schema:"default=false"`
	// IncludeConsumerGroups adds the names of the consumer groups to the groups of the consumer.
	IncludeConsumerGroups bool `json:"include_consumer_groups" schema:"default=false"`
}
