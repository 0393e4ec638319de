package main

// fault is what an upstream does to a request, and what may come of it.
type fault struct {
	name     string
	statuses []int // that the gateway may answer with
	weight   int
	// body: the request has one, and is not repeated.
	body bool
	// truncated: the response breaks off at the upstream, and so it has to at the client.
	truncated bool
	// bare: only where there are no plugins, on a service with a short timeout.
	bare bool
	// quiet: the upstream answers 200, whole, so that clients of every kind may ask for it.
	quiet bool
}

// faults of the upstream.
var faults = []fault{
	{name: "none", statuses: []int{200}, weight: 20, quiet: true},
	{name: "chunked", statuses: []int{200}, weight: 6, quiet: true},
	{name: "trailers", statuses: []int{200}, weight: 3, quiet: true},
	{name: "echo", statuses: []int{200}, body: true, weight: 8, quiet: true},
	{name: "slow", statuses: []int{200}, weight: 3, quiet: true},
	{name: "surplus", statuses: []int{200}, weight: 2, quiet: true},
	{name: "idle-bytes", statuses: []int{200}, weight: 2, quiet: true},
	{name: "half-close", statuses: []int{200}, weight: 1, quiet: true},
	{name: "stall", statuses: []int{504}, weight: 1, bare: true},
	{name: "reset", statuses: []int{502}, weight: 1},
	{name: "reset-head", statuses: []int{502}, weight: 1},
	{name: "reset-body", statuses: []int{200, 502}, truncated: true, weight: 1},
	{name: "reset-chunk", statuses: []int{200, 502}, truncated: true, weight: 1},
	{name: "early-close", statuses: []int{413, 502}, body: true, weight: 1},
	{name: "early-read", statuses: []int{413}, body: true, weight: 1},
	{name: "duplex", statuses: []int{200}, body: true, weight: 1},
	{name: "garbage", statuses: []int{502}, weight: 1},
	{name: "two-lengths", statuses: []int{502}, weight: 1},
}

// choose picks from a list by weight.
func choose[T any](n func(int) int, list []T, weight func(*T) int) *T {
	total := 0
	for i := range list {
		total += weight(&list[i])
	}
	k := n(total)
	for i := range list {
		if k -= weight(&list[i]); k < 0 {
			return &list[i]
		}
	}
	panic("unreachable: the weights add up to the total")
}
