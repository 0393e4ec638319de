package balancer

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// prober asks the places of a balancer how they are, those that are healthy and those that are not on clocks of their own.
type prober struct {
	b      *Balancer
	checks *entity.ActiveChecks
	turns  chan struct{}
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// probe starts the active checks of a balancer; nil when it has none.
func (b *Balancer) probe() *prober {
	checks := &b.Upstream.Health.Active
	if !checksActively(checks) {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &prober{b: b, checks: checks, turns: make(chan struct{}, max(checks.Concurrency, 1)), cancel: cancel}
	if checks.Healthy.Interval > 0 {
		p.ended.Go(func() { p.every(ctx, checks.Healthy.Interval, true) })
	}
	if checks.Unhealthy.Interval > 0 {
		p.ended.Go(func() { p.every(ctx, checks.Unhealthy.Interval, false) })
	}
	return p
}

// stop ends the checks; wait returns when none is under way any more.
func (p *prober) stop() { p.cancel() }
func (p *prober) wait() { p.ended.Wait() }

// noTimeout bounds a check whose timeout is 0.
const noTimeout = time.Minute

// shortestInterval bounds how often places are asked.
const shortestInterval = 10 * time.Millisecond

// every checks all places of one kind, again and again.
func (p *prober) every(ctx context.Context, interval time.Duration, healthy bool) {
	tick := time.NewTicker(max(interval, shortestInterval))
	defer tick.Stop()
	for {
		var round sync.WaitGroup
		v, err := p.b.current(&Choice{Now: time.Now(), Patience: p.checks.Timeout, gone: ctx.Done()})
		if err != nil {
			return // at the end
		}
		for _, place := range v.places {
			if place.healthy.Load() != healthy {
				continue
			}
			select {
			case p.turns <- struct{}{}:
			case <-ctx.Done():
				round.Wait()
				return
			}
			round.Go(func() {
				defer func() { <-p.turns }()
				p.check(ctx, place)
			})
		}
		round.Wait()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check asks one place and counts what it says.
func (p *prober) check(ctx context.Context, place *Place) {
	timed, cancel := context.WithTimeout(ctx, cmp.Or(p.checks.Timeout, noTimeout))
	defer cancel()
	status, err := p.ask(timed, place)
	if ctx.Err() != nil {
		return
	}
	o := Outcome{Status: status, Failed: err != nil}
	if err != nil {
		var n net.Error
		o.Timeout = errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
	}
	k, limit := p.judge(o)
	p.b.count(place, "active check", k, limit)
}

// judge is that of requests, but for the status 504, which here is one of the lists.
func (p *prober) judge(o Outcome) (kind, int) {
	c := p.checks
	if !o.Failed && o.Status == http.StatusGatewayTimeout && (c.Type == "http" || c.Type == "https") {
		if _, bad := slices.BinarySearch(c.Unhealthy.Statuses, o.Status); bad {
			return httpFailure, c.Unhealthy.HTTP
		}
	}
	return judge(o, c.Type, &c.Healthy, &c.Unhealthy)
}

// ask makes one check: a connection, for https and grpcs with TLS, and for http and https a request. The status is 0 without one.
func (p *prober) ask(ctx context.Context, place *Place) (status int, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", place.Address())
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return 0, err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	talk := conn
	if p.checks.Type == "https" || p.checks.Type == "grpcs" {
		secured := tls.Client(conn, &tls.Config{ServerName: p.serverName(place), InsecureSkipVerify: !p.checks.Verify, NextProtos: p.protocols()}) //nolint:gosec // https_verify_certificate is the upstream's choice
		if err := secured.HandshakeContext(ctx); err != nil {
			return 0, err
		}
		talk = secured
	}
	if p.checks.Type != "http" && p.checks.Type != "https" {
		return http.StatusOK, nil
	}
	return p.request(talk, place)
}

func (p *prober) protocols() []string {
	if p.checks.Type == "grpcs" {
		return []string{"h2"}
	}
	return []string{"http/1.1"}
}

// serverName is whose certificate a place is to show.
func (p *prober) serverName(place *Place) string {
	if p.checks.SNI != "" {
		return p.checks.SNI
	}
	name, _, err := net.SplitHostPort(p.hostHeader(place))
	if err != nil {
		name = p.hostHeader(place)
	}
	return strings.Trim(name, "[]")
}

// hostHeader is the Host of checks: host_header of the upstream, else the name of the target, else the address.
func (p *prober) hostHeader(place *Place) string {
	if h := p.b.Upstream.HostHeader; h != "" {
		return h
	}
	name := place.Name
	if name == "" {
		name = place.Host
	}
	return net.JoinHostPort(name, strconv.Itoa(place.Port))
}

// request sends GET over a connection of its own and reads the head of the response.
func (p *prober) request(conn net.Conn, place *Place) (status int, err error) {
	path, query, _ := strings.Cut(p.checks.Path, "?")
	req := &http.Request{
		Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: place.Address(), Opaque: path, RawQuery: query}, Host: p.hostHeader(place),
		Header: http.Header{"User-Agent": {"outrigger-health-check"}}, Close: true,
	}
	for _, h := range p.checks.Headers {
		if strings.EqualFold(h.Name, "Host") && len(h.Values) > 0 {
			req.Host = h.Values[0]
			continue
		}
		req.Header[h.Name] = h.Values
	}
	if err := req.Write(conn); err != nil {
		return 0, err
	}
	for r := bufio.NewReader(io.LimitReader(conn, largestHead)); ; {
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return 0, err
		}
		if resp.StatusCode >= http.StatusOK || resp.StatusCode == http.StatusSwitchingProtocols { // what comes before is no answer
			return resp.StatusCode, nil // the body is left: the connection is closed
		}
	}
}

// largestHead is how much of a response a check reads.
const largestHead = 64 << 10
