package botdetection

// Config of an instance. The entries are regular expressions that a User-Agent matches when they match somewhere in it.
type Config struct {
	// Allow lets clients pass whatever the other lists say.
	Allow *[]string `json:"allow" schema:"format=regex,minlen=1"`
	// Deny refuses clients beside the known bots.
	Deny *[]string `json:"deny" schema:"format=regex,minlen=1"`
}
