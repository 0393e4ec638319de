package local

import (
	"errors"
	"fmt"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// ClientTLSGetFullClientCertificateChain implements pdk.Backend.
func (h *handle) ClientTLSGetFullClientCertificateChain() (string, bool, error) {
	s, err := h.begin(pdk.FnClientTLSGetFullClientCertificateChain)
	if err != nil {
		return "", false, err
	}
	defer s.mu.Unlock()
	if t := &s.facts.TLS; !t.Set || !t.HasCertificate {
		return "", false, nil
	}
	return h.askText(s, pdk.FnClientTLSGetFullClientCertificateChain)
}

// ClientTLSSetClientVerify implements pdk.Backend.
func (h *handle) ClientTLSSetClientVerify(result string) error {
	s, err := h.begin(pdk.FnClientTLSSetClientVerify)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := checkVerify(result); err != nil {
		return argError(pdk.FnClientTLSSetClientVerify, err)
	}
	s.op(pdk.FnClientTLSSetClientVerify).Value = encodeArguments(result)
	return nil
}

func checkVerify(result string) error {
	if reason, failed := strings.CutPrefix(result, "FAILED:"); result != "SUCCESS" && result != "NONE" && (!failed || reason == "") {
		return fmt.Errorf("result is %q; expected SUCCESS, NONE, or FAILED: with a reason", result)
	}
	return nil
}

// verifyOfOp reads the operation client.tls.set_client_verify.
func verifyOfOp(op *wire.Op) (string, error) {
	a := argumentsOf(op, 1)
	result := a.text(0)
	if a.err == nil {
		a.err = checkVerify(result)
	}
	return result, a.err
}

const forwardedProto = "x-forwarded-proto"

// ClientGetProtocol implements pdk.Backend.
func (h *handle) ClientGetProtocol(allowTerminated bool) (string, error) {
	const fn = pdk.FnClientGetProtocol
	s, err := h.begin(fn)
	if err != nil {
		return "", err
	}
	defer s.mu.Unlock()
	route, err := routeOf(s.facts.Route)
	switch {
	case err != nil:
		return "", dataError(fn, err)
	case route == nil:
		return "", dataError(fn, errors.New("no route matched"))
	case len(route.Protocols) == 1:
		return route.Protocols[0], nil
	}
	scheme := s.facts.Request.Scheme
	if scheme == "https" || !allowTerminated || !s.facts.Client.Trusted {
		return scheme, nil
	}
	said := ""
	for i, lines := 0, s.view.request.lines; i < len(lines); i++ {
		if !SameHeader(lines[i].Name, forwardedProto) {
			continue
		}
		if said != "" || strings.Contains(lines[i].Value, ",") {
			return "", dataError(fn, errors.New("there are several X-Forwarded-Proto"))
		}
		said = lines[i].Value
	}
	if strings.EqualFold(said, "https") {
		return "https", nil
	}
	return scheme, nil
}
