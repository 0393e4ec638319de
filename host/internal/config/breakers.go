package config

import (
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// The fields here are ours; their names and meanings are those of Envoy, as far as HTTP/1.1 has them.

func (d *document) circuitBreakers(o *object) entity.CircuitBreakers {
	s := d.section(o, "circuit_breakers")
	defer s.done()
	c := entity.CircuitBreakers{
		MaxConnections:     s.integer("max_connections", 0, 0, 1<<20),
		MaxPendingRequests: s.integer("max_pending_requests", 0, 0, 1<<20),
	}
	if v := s.n.get("max_pending_requests"); c.MaxPendingRequests > 0 && c.MaxConnections == 0 {
		d.fail(s.at.key("max_pending_requests"), v, Error{
			Code: CodeConflict, Found: "max_pending_requests without max_connections", Expected: "both: requests wait when max_connections is reached",
			Fix: "add max_connections, or remove max_pending_requests",
		})
	}
	return c
}

func (d *document) outlierDetection(o *object) entity.OutlierDetection {
	s := d.section(o, "outlier_detection")
	defer s.done()
	return entity.OutlierDetection{
		Consecutive5xx:            s.integer("consecutive_5xx", 0, 0, 1<<16),
		ConsecutiveGatewayFailure: s.integer("consecutive_gateway_failure", 0, 0, 1<<16),
		BaseEjection:              s.span("base_ejection_time", 30*time.Second, time.Millisecond, longestTime),
		MaxEjection:               s.span("max_ejection_time", 300*time.Second, time.Millisecond, longestTime),
		MaxEjectionPercent:        s.integer("max_ejection_percent", 50, 0, 100),
	}
}

// retryBudget is nil when there is none: then retries of the service are the only bound.
func (d *document) retryBudget(o *object) *entity.RetryBudget {
	if o.has("retry_budget") == nil {
		return nil
	}
	s := d.section(o, "retry_budget")
	defer s.done()
	return &entity.RetryBudget{Percent: s.integer("budget_percent", 20, 0, 100), MinRetries: s.integer("min_retry_concurrency", 3, 0, 1<<20)}
}

func (d *document) slowStart(o *object) entity.SlowStart {
	s := d.section(o, "slow_start")
	defer s.done()
	return entity.SlowStart{
		Window: s.span("slow_start_window", 0, 0, longestTime), Aggression: s.number("aggression", 1, 0.01, 100),
		MinPercent: s.integer("min_weight_percent", 10, 1, 100),
	}
}
