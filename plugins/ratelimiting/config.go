package ratelimiting

import (
	"errors"
	"fmt"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Config of an instance.
type Config struct {
	// Second to Year are how many requests may pass within each of these periods; null: any number.
	Second *float64 `json:"second" schema:"above=0"`
	Minute *float64 `json:"minute" schema:"above=0"`
	Hour   *float64 `json:"hour" schema:"above=0"`
	Day    *float64 `json:"day" schema:"above=0"`
	Month  *float64 `json:"month" schema:"above=0"`
	Year   *float64 `json:"year" schema:"above=0"`
	// LimitBy says whose requests are counted together.
	LimitBy string `json:"limit_by" schema:"enum=consumer|credential|ip|service|header|path|consumer-group"`
	// HeaderName and Path are what limit_by header and path look at.
	HeaderName *string `json:"header_name" schema:"pattern=^[A-Za-z0-9_-]+$"`
	Path       *string `json:"path" schema:"pattern=^/"`
	// Policy says where the counters are.
	Policy string `json:"policy" schema:"enum=local|cluster|redis"`
	// FaultTolerant lets requests pass whose counter cannot be found; false answers them with 500.
	FaultTolerant bool `json:"fault_tolerant" schema:"required"`
	// HideClientHeaders keeps limits and counts from the client.
	HideClientHeaders bool  `json:"hide_client_headers" schema:"default=false"`
	Redis             Redis `json:"redis"`
	// ErrorCode and ErrorMessage are the answer to a request over the limit.
	ErrorCode    int    `json:"error_code" schema:"min=400,max=599"`
	ErrorMessage string `json:"error_message" schema:"minlen=1"`
	// SyncRate is how often counters are brought to Redis, in seconds; -1: with each request.
	SyncRate float64 `json:"sync_rate" schema:"min=-1"`
	FlatRedis
}

// Redis is where the counters of policy redis are. It is accepted, as exported configurations have it, and not used yet.
type Redis struct {
	Host       *string `json:"host" schema:"minlen=1"`
	Port       int     `json:"port" schema:"min=0,max=65535"`
	Timeout    int     `json:"timeout" schema:"min=0,max=2147483646"` // milliseconds
	Username   *string `json:"username" schema:"referenceable"`
	Password   *string `json:"password" schema:"secret,referenceable"`
	Database   int     `json:"database" schema:"min=0,default=0"`
	SSL        bool    `json:"ssl" schema:"default=false"`
	SSLVerify  bool    `json:"ssl_verify" schema:"default=false"`
	ServerName *string `json:"server_name" schema:"minlen=1"`
}

// FlatRedis has the old names of the fields of Redis.
type FlatRedis struct {
	RedisHost       *string `json:"redis_host"`
	RedisPort       *int    `json:"redis_port" schema:"min=0,max=65535"`
	RedisTimeout    *int    `json:"redis_timeout" schema:"min=0,max=2147483646"`
	RedisUsername   *string `json:"redis_username" schema:"referenceable"`
	RedisPassword   *string `json:"redis_password" schema:"secret,referenceable"`
	RedisDatabase   *int    `json:"redis_database" schema:"min=0"`
	RedisSSL        *bool   `json:"redis_ssl"`
	RedisSSLVerify  *bool   `json:"redis_ssl_verify"`
	RedisServerName *string `json:"redis_server_name"`
}

func defaults() Config {
	return Config{
		LimitBy: "consumer", Policy: "local", FaultTolerant: true, Redis: Redis{Port: 6379, Timeout: 2000},
		ErrorCode: 429, ErrorMessage: "API rate limit exceeded", SyncRate: -1,
	}
}

// limits lists the limits by period; 0: none.
func (c *Config) limits() limits {
	var all limits
	for p, limit := range [periods]*float64{c.Second, c.Minute, c.Hour, c.Day, c.Month, c.Year} {
		if limit != nil {
			all[p] = *limit
		}
	}
	return all
}

// Validate checks what concerns several fields, and refuses what is not there yet.
func (c *Config) Validate() error {
	return errors.Join(c.checkLimits(), c.checkLimitBy(), c.checkPolicy())
}

func (c *Config) checkLimits() error {
	all := c.limits()
	if all == (limits{}) {
		return &pdk.ConfigError{Message: "found no limit, expected at least one of second, minute, hour, day, month, year"}
	}
	shorter := -1
	for p, limit := range all {
		if limit == 0 {
			continue
		}
		if shorter >= 0 && limit < all[shorter] {
			return &pdk.ConfigError{
				Path:    names[p],
				Message: fmt.Sprintf("The limit for %s(%.1f) cannot be lower than the limit for %s(%.1f)", names[p], limit, names[shorter], all[shorter]),
			}
		}
		shorter = p
	}
	return nil
}

func (c *Config) checkLimitBy() error {
	switch {
	case c.LimitBy == "header" && c.HeaderName == nil:
		return &pdk.ConfigError{Path: "header_name", Message: "found null, expected the name of a header, because limit_by is header"}
	case c.LimitBy == "path" && c.Path == nil:
		return &pdk.ConfigError{Path: "path", Message: "found null, expected a path, because limit_by is path"}
	}
	return nil
}

func (c *Config) checkPolicy() error {
	switch c.Policy {
	case "cluster":
		return &pdk.ConfigError{Path: "policy", Message: `found "cluster", which needs a database, expected "local" (fix: write policy: local; each gateway then counts for itself)`}
	case "redis":
		return &pdk.ConfigError{Path: "policy", Message: `found "redis", which is not supported yet, expected "local" (fix: write policy: local; each gateway then counts for itself)`}
	}
	if c.SyncRate != -1 {
		return &pdk.ConfigError{Path: "sync_rate", Message: fmt.Sprintf("found %v, expected -1: other rates are for policy redis (fix: remove sync_rate)", c.SyncRate)}
	}
	return nil
}
