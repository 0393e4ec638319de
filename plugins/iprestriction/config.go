package iprestriction

// Config of an instance.
type Config struct {
	// Allow and Deny list addresses and networks. Deny is looked at first; whoever is not in an Allow that lists anything is refused.
	Allow *[]string `json:"allow" schema:"pattern=^[0-9A-Fa-f:.]+(/[0-9]{1\\,3})?$"`
	Deny  *[]string `json:"deny" schema:"pattern=^[0-9A-Fa-f:.]+(/[0-9]{1\\,3})?$"`
	// Status and Message of a refusal.
	Status  *int    `json:"status" schema:"min=400,max=599"`
	Message *string `json:"message" schema:"minlen=1"`
}
