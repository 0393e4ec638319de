package local

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Limits of the functions of service.
const (
	maxRetries   = 32767
	maxTimeout   = 1<<31 - 2 // milliseconds
	maxFallbacks = 16
	maxDepth     = 64
)

// record records a generic operation after its check. Its arguments are of types that package wire knows.
func (h *handle) record(fn int, check error, args ...any) error {
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if check != nil {
		return argError(fn, check)
	}
	s.op(fn).Value = encodeArguments(args...)
	return nil
}

// ServiceSetUpstream implements pdk.Backend.
func (h *handle) ServiceSetUpstream(name string) error {
	const fn = pdk.FnServiceSetUpstream
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := checkUpstream(name); err != nil {
		return argError(fn, err)
	}
	if _, err := h.ask(s, fn, name); err != nil {
		return err
	}
	s.op(fn).Value = encodeArguments(name)
	return nil
}

func checkUpstream(name string) error {
	if name == "" {
		return errors.New("the name of the upstream is empty")
	}
	return nil
}

// UpstreamOf reads the operation service.set_upstream.
func UpstreamOf(op *wire.Op) (name string, err error) {
	a := argumentsOf(op, 1)
	if name = a.text(0); a.err == nil {
		a.err = checkUpstream(name)
	}
	return name, a.err
}

// ServiceSetTarget implements pdk.Backend.
func (h *handle) ServiceSetTarget(host string, port int) error {
	bare, err := checkTarget(host, port)
	return h.record(pdk.FnServiceSetTarget, err, bare, port)
}

// checkTarget gives the host without brackets.
func checkTarget(host string, port int) (string, error) {
	if port < 0 || port > 65535 {
		return "", fmt.Errorf("port is %d; expected 0 to 65535", port)
	}
	return checkHost(host)
}

func checkHost(host string) (string, error) {
	bare := host
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if bare, ok = strings.CutSuffix(inner, "]"); !ok || !strings.Contains(bare, ":") {
			return "", fmt.Errorf("host %q is no IPv6 address in brackets", host)
		}
	}
	if bare == "" {
		return "", errors.New("the host is empty")
	}
	for i := range len(bare) { // the zone of an IPv6 address too: all of it may stand in the header Host
		if c := bare[i]; c <= ' ' || c == 0x7f || strings.IndexByte("/@[]", c) >= 0 {
			return "", fmt.Errorf("host %q has the byte %q at %d; expected a host name or an address", host, c, i)
		}
	}
	if strings.Contains(bare, ":") {
		if a, err := netip.ParseAddr(bare); err != nil || !a.Is6() {
			return "", fmt.Errorf("host %q is no IPv6 address; the port is an argument of its own", host)
		}
	}
	return bare, nil
}

// TargetOf reads the operation service.set_target. The host has no brackets.
func TargetOf(op *wire.Op) (host string, port int, err error) {
	a := argumentsOf(op, 2)
	host, port = a.text(0), a.integer(1)
	if a.err == nil {
		host, a.err = checkTarget(host, port)
	}
	return host, port, a.err
}

// ServiceSetRetries implements pdk.Backend.
func (h *handle) ServiceSetRetries(retries int) error {
	return h.record(pdk.FnServiceSetRetries, checkRange("retries", retries, 0, maxRetries), retries)
}

func checkRange(name string, n, low, high int) error {
	if n < low || n > high {
		return fmt.Errorf("%s is %d; expected %d to %d", name, n, low, high)
	}
	return nil
}

// RetriesOf reads the operation service.set_retries.
func RetriesOf(op *wire.Op) (retries int, err error) {
	a := argumentsOf(op, 1)
	retries = a.integer(0)
	a.check(checkRange("retries", retries, 0, maxRetries))
	return retries, a.err
}

// ServiceSetTimeouts implements pdk.Backend.
func (h *handle) ServiceSetTimeouts(connectTimeout, writeTimeout, readTimeout int) error {
	err := checkTimeouts(connectTimeout, writeTimeout, readTimeout)
	return h.record(pdk.FnServiceSetTimeouts, err, connectTimeout, writeTimeout, readTimeout)
}

func checkTimeouts(connect, write, read int) error {
	return errors.Join(checkRange("connect_timeout", connect, 1, maxTimeout), checkRange("write_timeout", write, 1, maxTimeout), checkRange("read_timeout", read, 1, maxTimeout))
}

// TimeoutsOf reads the operation service.set_timeouts, in milliseconds.
func TimeoutsOf(op *wire.Op) (connect, write, read int, err error) {
	a := argumentsOf(op, 3)
	connect, write, read = a.integer(0), a.integer(1), a.integer(2)
	a.check(checkTimeouts(connect, write, read))
	return connect, write, read, a.err
}

// ServiceSetFallbackTargets implements pdk.Backend.
func (h *handle) ServiceSetFallbackTargets(targets []string) error {
	list := make([]any, len(targets))
	for i := range targets {
		list[i] = targets[i]
	}
	return h.record(pdk.FnServiceSetFallbackTargets, checkFallbacks(targets), list)
}

func checkFallbacks(targets []string) error {
	if len(targets) > maxFallbacks {
		return fmt.Errorf("%d targets; at most %d are allowed", len(targets), maxFallbacks)
	}
	for _, t := range targets {
		if _, _, err := SplitTarget(t); err != nil {
			return err
		}
	}
	return nil
}

// SplitTarget takes host:port or [v6]:port apart, the port 1 to 65535. The host has no brackets.
func SplitTarget(target string) (host string, port int, err error) {
	colon := strings.LastIndexByte(target, ':')
	if colon < 0 {
		return "", 0, fmt.Errorf("target %q has no port; expected host:port", target)
	}
	host, digits := target[:colon], target[colon+1:]
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "", 0, fmt.Errorf("target %q: an IPv6 address needs brackets before its port", target)
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || number == 0 {
		return "", 0, fmt.Errorf("target %q: port %q; expected 1 to 65535", target, digits)
	}
	if host, err = checkHost(host); err != nil {
		return "", 0, fmt.Errorf("target %q: %w", target, err)
	}
	return host, int(number), nil
}

// FallbackTargetsOf reads the operation service.set_fallback_targets; SplitTarget takes each apart.
func FallbackTargetsOf(op *wire.Op) ([]string, error) {
	a := argumentsOf(op, 1)
	targets := []string{}
	for _, item := range a.array(0) {
		targets = append(targets, text(item))
	}
	a.check(checkFallbacks(targets))
	return targets, a.err
}

// ServiceSetTLSVerify implements pdk.Backend.
func (h *handle) ServiceSetTLSVerify(verify bool) error {
	return h.record(pdk.FnServiceSetTLSVerify, nil, verify)
}

// TLSVerifyOf reads the operation service.set_tls_verify.
func TLSVerifyOf(op *wire.Op) (verify bool, err error) {
	a := argumentsOf(op, 1)
	verify = a.bool(0)
	return verify, a.err
}

// ServiceSetTLSVerifyDepth implements pdk.Backend.
func (h *handle) ServiceSetTLSVerifyDepth(depth int) error {
	return h.record(pdk.FnServiceSetTLSVerifyDepth, checkRange("depth", depth, 0, maxDepth), depth)
}

// TLSVerifyDepthOf reads the operation service.set_tls_verify_depth.
func TLSVerifyDepthOf(op *wire.Op) (depth int, err error) {
	a := argumentsOf(op, 1)
	depth = a.integer(0)
	a.check(checkRange("depth", depth, 0, maxDepth))
	return depth, a.err
}

// ServiceSetTLSCertKey implements pdk.Backend.
func (h *handle) ServiceSetTLSCertKey(certificates, key string) error {
	err := errors.Join(checkPEM("certificates", certificates), checkPEM("key", key))
	return h.record(pdk.FnServiceSetTLSCertKey, err, certificates, key)
}

// checkPEM never shows the text: it may be a private key.
func checkPEM(name, text string) error {
	if !strings.Contains(text, "-----BEGIN ") {
		return fmt.Errorf("%s has no PEM block; expected -----BEGIN", name)
	}
	return nil
}

// TLSCertKeyOf reads the operation service.set_tls_cert_key, two texts in PEM.
func TLSCertKeyOf(op *wire.Op) (certificates, key string, err error) {
	a := argumentsOf(op, 2)
	certificates, key = a.text(0), a.text(1)
	a.check(errors.Join(checkPEM("certificates", certificates), checkPEM("key", key)))
	return certificates, key, a.err
}

// ServiceSetTLSVerifyStore implements pdk.Backend.
func (h *handle) ServiceSetTLSVerifyStore(certificates string) error {
	return h.record(pdk.FnServiceSetTLSVerifyStore, checkPEM("certificates", certificates), certificates)
}

// TLSVerifyStoreOf reads the operation service.set_tls_verify_store, in PEM.
func TLSVerifyStoreOf(op *wire.Op) (certificates string, err error) {
	a := argumentsOf(op, 1)
	certificates = a.text(0)
	a.check(checkPEM("certificates", certificates))
	return certificates, a.err
}
