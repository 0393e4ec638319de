package metrics

import "github.com/outrigger-gateway/outrigger/host/internal/balancer"

var (
	upstreamFlight    = desc("upstream_in_flight", "Requests that an upstream has.", "upstream")
	upstreamPending   = desc("upstream_pending", "Requests that wait for a connection to a target.", "upstream")
	upstreamAvailable = desc("upstream_available_ratio", "Share of the weight of an upstream that health checks have not taken away, 0 to 1.", "upstream")
	upstreamRetries   = desc("upstream_retries_total", "Further tries of requests.", "upstream")
	upstreamDenied    = desc("upstream_retries_denied_total", "Further tries that the retry budget did not allow.", "upstream")
	upstreamOverflows = desc("upstream_overflows_total", "Requests refused because every target had max_connections.", "upstream")
	upstreamEjections = desc("upstream_ejections_total", "How often outlier detection ejected an address.", "upstream")
	targetHealthy     = desc("upstream_target_healthy", "1 while an address of a target may get requests: it is neither unhealthy nor ejected.", "upstream", "target", "address")
	targetFlight      = desc("upstream_target_in_flight", "Requests that an address of a target has.", "upstream", "target", "address")
	targetDNS         = desc("upstream_target_dns_error", "1 while the name of a target does not resolve.", "upstream", "target")
)

// upstreams writes the metrics of upstreams. Their targets are labels: the configuration bounds them, and the addresses that DNS has for it.
func (w writer) upstreams(list []balancer.Status) {
	for i := range list {
		u := &list[i]
		w.gauge(upstreamFlight, float64(u.InFlight), u.Name)
		w.gauge(upstreamPending, float64(u.Pending), u.Name)
		w.gauge(upstreamAvailable, u.Available/100, u.Name)
		w.counter(upstreamRetries, float64(u.Retries), u.Name)
		w.counter(upstreamDenied, float64(u.Denied), u.Name)
		w.counter(upstreamOverflows, float64(u.Overflows), u.Name)
		w.counter(upstreamEjections, float64(u.Ejections), u.Name)
		for k := range u.Targets {
			t := &u.Targets[k]
			w.gauge(targetDNS, truth(t.Error != ""), u.Name, t.Target)
			for _, p := range t.Addresses {
				w.gauge(targetHealthy, truth(p.Up()), u.Name, t.Target, p.Address)
				w.gauge(targetFlight, float64(p.InFlight), u.Name, t.Target, p.Address)
			}
		}
	}
}
