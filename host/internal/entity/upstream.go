package entity

import "time"

// Upstream is a name for several targets that do the same work.
type Upstream struct {
	ID         string
	Name       string
	Algorithm  string // round-robin, least-connections, consistent-hashing, latency, sticky-sessions; "": round-robin
	Hash       HashInput
	Fallback   HashInput // when a request has none of Hash
	CookiePath string    // of the cookie that HashInput cookie sets
	Sticky     Cookie    // of sticky-sessions
	Slots      int       // of the ring of consistent-hashing
	HostHeader string    // Host of the requests; "": that of the target
	UseSRVName bool      // the name in an SRV record is the Host
	Health     HealthChecks
	Breaker    CircuitBreakers
	Outliers   OutlierDetection
	Budget     *RetryBudget // nil: no bound
	RetryOn    []int        `json:",omitempty"` // statuses of responses that are given up for another try, in ascending order
	SlowStart  SlowStart
	Targets    []*Target
	Tags       []string
	CreatedAt  int64
	UpdatedAt  int64
	Pos        Pos
}

// Target is one place of an upstream.
type Target struct {
	ID        string
	Target    string // host:port, IPv6 in brackets
	Weight    int    // its share; 0: none
	Tags      []string
	CreatedAt int64
	UpdatedAt int64
	Pos       Pos
}

// HashInput says which part of a request consistent-hashing looks at (spec/gateway.md 7.2).
type HashInput struct {
	On   string // none, consumer, ip, header, cookie, path, query_arg, uri_capture; "": none
	Name string // of the header, in lower case, or of the cookie, argument or capture
}

// Cookie is the name and the path of a cookie.
type Cookie struct{ Name, Path string }

// HealthChecks say when a target is healthy (spec/gateway.md 7.4).
type HealthChecks struct {
	Threshold float64 // percent of the weight that must be more than available
	Active    ActiveChecks
	Passive   PassiveChecks
}

// ActiveChecks ask the targets.
type ActiveChecks struct {
	Type        string // tcp, http, https, grpc, grpcs
	Timeout     time.Duration
	Concurrency int
	Path        string
	SNI         string // "": the host
	Verify      bool   // the certificate
	Headers     []HeaderValues
	Healthy     Successes
	Unhealthy   Failures
}

// HeaderValues are the lines of one header.
type HeaderValues struct {
	Name   string
	Values []string
}

// PassiveChecks look at the requests of clients.
type PassiveChecks struct {
	Type      string
	Healthy   Successes
	Unhealthy Failures
}

// Successes make a target healthy.
type Successes struct {
	Interval  time.Duration // between two active checks of a healthy target; 0: none
	Statuses  []int         // in ascending order
	Successes int           // how many; 0: never
}

// Failures make a target unhealthy. Each kind is counted by itself; a limit of 0 means never.
type Failures struct {
	Interval time.Duration // between two active checks of an unhealthy target; 0: none
	Statuses []int         // in ascending order
	TCP      int
	Timeouts int
	HTTP     int
}

// CircuitBreakers bound what one target gets at once. 0: no bound.
type CircuitBreakers struct {
	MaxConnections     int // requests at once, each of which has a connection
	MaxPendingRequests int // requests that wait because every target has its connections; more are refused
}

// OutlierDetection takes targets that keep failing away for a time.
type OutlierDetection struct {
	Consecutive5xx            int           // failed tries and statuses from 500, one after another; 0: off
	ConsecutiveGatewayFailure int           // failed tries and 502, 503 and 504; 0: off
	BaseEjection              time.Duration // for the first time, twice that for the second, and so on
	MaxEjection               time.Duration
	MaxEjectionPercent        int // of the weight that may be away
}

// RetryBudget bounds how many requests of an upstream may be on a further try at the same time.
type RetryBudget struct {
	Percent    int // of the requests in flight
	MinRetries int // that may always be
}

// SlowStart gives a target that is new or healthy again a share that grows to its own.
type SlowStart struct {
	Window     time.Duration // 0: off
	Aggression float64       // 1: the share grows with time; more: faster at first
	MinPercent int           // of its weight, at the start
}
