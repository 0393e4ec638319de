// Package entities has the entities of a gateway in the shapes of go-pdk. Fields that Outrigger does not have stay empty.
package entities

// ServiceKey names a service.
type ServiceKey struct {
	Id string `json:"id"`
}

// CertificateKey names a certificate.
type CertificateKey struct {
	Id string `json:"id"`
}

// Route is a route.
type Route struct {
	Id                      string     `json:"id"`
	CreatedAt               int        `json:"created_at"` // seconds since the epoch
	UpdatedAt               int        `json:"updated_at"` // seconds since the epoch
	Name                    string     `json:"name"`
	Protocols               []string   `json:"protocols"`
	Methods                 []string   `json:"methods"`
	Hosts                   []string   `json:"hosts"`
	Paths                   []string   `json:"paths"`
	Headers                 []string   `json:"headers"` // always empty, as in go-pdk
	HTTPSRedirectStatusCode int        `json:"https_redirect_status_code"`
	RegexPriority           int        `json:"regex_priority"`
	StripPath               bool       `json:"strip_path"`
	PreserveHost            bool       `json:"preserve_host"`
	SNIs                    []string   `json:"snis"`
	Sources                 []string   `json:"sources"`
	Destinations            []string   `json:"destinations"`
	Tags                    []string   `json:"tags"`
	Service                 ServiceKey `json:"service"`
}

// Service is a service.
type Service struct {
	Id                string         `json:"id"`
	CreatedAt         int            `json:"created_at"` // seconds since the epoch
	UpdatedAt         int            `json:"updated_at"` // seconds since the epoch
	Name              string         `json:"name"`
	Retries           int            `json:"retries"`
	Protocol          string         `json:"protocol"`
	Host              string         `json:"host"`
	Port              int            `json:"port"`
	Path              string         `json:"path"`
	ConnectTimeout    int            `json:"connect_timeout"` // milliseconds
	WriteTimeout      int            `json:"write_timeout"`   // milliseconds
	ReadTimeout       int            `json:"read_timeout"`    // milliseconds
	Tags              []string       `json:"tags"`
	ClientCertificate CertificateKey `json:"client_certificate"`
}

// Consumer is somebody who uses the gateway.
type Consumer struct {
	Id        string   `json:"id"`
	CreatedAt int      `json:"created_at"` // seconds since the epoch
	Username  string   `json:"username"`
	CustomId  string   `json:"custom_id"`
	Tags      []string `json:"tags"`
}
