package redirect

// Config of an instance.
type Config struct {
	// Location is where the client is sent.
	Location string `json:"location" schema:"required,format=url"`
	// StatusCode of the answer.
	StatusCode int `json:"status_code" schema:"min=100,max=599"`
	// KeepIncomingPath puts path and query of the request in the place of those of Location.
	KeepIncomingPath bool `json:"keep_incoming_path" schema:"default=false"`
}
