package exchange

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Destination is what plugins said about where the request goes, and how. What it does not say is as the service has it.
type Destination struct {
	Upstream *entity.Upstream // instead of the service's host; nil: not said
	Target   *Address         // instead of host and port of the service, past every upstream; nil: not said

	Fallbacks []Address // where the tries behind the first one go

	Retries  int
	Timeouts Timeouts
	// The flags say which of the others were set.
	HasRetries, HasTimeouts, HasVerify, HasDepth bool

	Verify      bool // of the upstream's certificate
	Depth       int  // most certificates between that and a trusted one
	Certificate *tls.Certificate
	Roots       *x509.CertPool
}

// Address is a host, IPv6 without brackets, and a port.
type Address struct {
	Host string
	Port int
}

// Timeouts of one connection to an upstream.
type Timeouts struct{ Connect, Write, Read time.Duration }

// direct reads an operation that says where the request goes, and, with do, applies it. Without, only its checks are made.
func (e *Exchange) direct(op *wire.Op, do bool) (err error) {
	d := &Destination{} // what a check writes to
	if do {
		if e.Upstream.Destination == nil {
			e.Upstream.Destination = d
		}
		d = e.Upstream.Destination
	}
	switch op.Code {
	case wire.OpServiceSetUpstream:
		var name string
		if name, err = local.UpstreamOf(op); err != nil {
			return err
		}
		if d.Upstream = e.Dir.Upstream(name); d.Upstream == nil {
			return fmt.Errorf("there is no upstream %q", name)
		}
		d.Target = nil
	case wire.OpServiceSetTarget:
		var a Address
		a.Host, a.Port, err = local.TargetOf(op)
		d.Target, d.Upstream = &a, nil
	case wire.OpServiceSetRetries:
		d.Retries, err = local.RetriesOf(op)
		d.HasRetries = true
	case wire.OpServiceSetTimeouts:
		var connect, write, read int
		connect, write, read, err = local.TimeoutsOf(op)
		d.Timeouts = Timeouts{milliseconds(connect), milliseconds(write), milliseconds(read)}
		d.HasTimeouts = true
	case wire.OpServiceSetFallbackTargets:
		d.Fallbacks, err = fallbacks(op)
	case wire.OpServiceSetTLSVerify:
		d.Verify, err = local.TLSVerifyOf(op)
		d.HasVerify = true
	case wire.OpServiceSetTLSVerifyDepth:
		d.Depth, err = local.TLSVerifyDepthOf(op)
		d.HasDepth = true
	case wire.OpServiceSetTLSCertKey:
		d.Certificate, err = e.pair(op)
	case wire.OpServiceSetTLSVerifyStore:
		d.Roots, err = e.roots(op)
	}
	return err
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func fallbacks(op *wire.Op) ([]Address, error) {
	targets, err := local.FallbackTargetsOf(op)
	if err != nil {
		return nil, err
	}
	list := make([]Address, len(targets))
	for i, t := range targets {
		if list[i].Host, list[i].Port, err = local.SplitTarget(t); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (e *Exchange) pair(op *wire.Op) (*tls.Certificate, error) {
	certificates, key, err := local.TLSCertKeyOf(op)
	if err != nil {
		return nil, err
	}
	if e.Gateway == nil || e.Gateway.Certificates == nil {
		return nil, nil // an exchange without a gateway goes nowhere
	}
	return e.Gateway.Certificates.Pair(certificates, key)
}

func (e *Exchange) roots(op *wire.Op) (*x509.CertPool, error) {
	certificates, err := local.TLSVerifyStoreOf(op)
	if err != nil {
		return nil, err
	}
	if e.Gateway == nil || e.Gateway.Certificates == nil {
		return nil, nil
	}
	return e.Gateway.Certificates.Pool(certificates)
}
