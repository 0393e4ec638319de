package local

import (
	"errors"
	"fmt"
	"maps"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// ClientGetIP implements pdk.Backend.
func (h *handle) ClientGetIP() string {
	s := h.read(pdk.FnClientGetIP)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	return s.facts.Client.IP
}

// ClientGetForwardedIP implements pdk.Backend.
func (h *handle) ClientGetForwardedIP() string {
	s := h.read(pdk.FnClientGetForwardedIP)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	if ip := s.facts.Client.ForwardedIP; ip != "" {
		return ip
	}
	return s.facts.Client.IP
}

// ClientGetPort implements pdk.Backend.
func (h *handle) ClientGetPort() int {
	s := h.read(pdk.FnClientGetPort)
	if s == nil {
		return 0
	}
	defer s.mu.Unlock()
	return s.facts.Client.Port
}

// ClientGetForwardedPort implements pdk.Backend.
func (h *handle) ClientGetForwardedPort() (int, bool) {
	s := h.read(pdk.FnClientGetForwardedPort)
	if s == nil {
		return 0, false
	}
	defer s.mu.Unlock()
	port := s.facts.Client.ForwardedPort
	return port, port != 0
}

// ClientGetCredential implements pdk.Backend.
func (h *handle) ClientGetCredential() *pdk.Credential {
	s := h.read(pdk.FnClientGetCredential)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	if s.view.authenticated {
		return s.view.credential
	}
	return known(s, pdk.FnClientGetCredential, s.facts.Credential, credentialOfEntity)
}

// ClientGetConsumer implements pdk.Backend.
func (h *handle) ClientGetConsumer() *pdk.Consumer {
	s := h.read(pdk.FnClientGetConsumer)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	if s.view.authenticated {
		return s.view.consumer
	}
	return known(s, pdk.FnClientGetConsumer, s.facts.Consumer, consumerOfEntity)
}

// known decodes an entity of the facts. One that does not decode fails the handler: the read has no error result.
func known[E, T any](s *Session, fn int, e *E, decode func(*E) (*T, error)) *T {
	v, err := decode(e)
	if err != nil {
		if s.failure == nil {
			s.failure = dataError(fn, err)
		}
		return nil
	}
	return v
}

// ClientLoadConsumer implements pdk.Backend.
func (h *handle) ClientLoadConsumer(id string, byUsername bool) (*pdk.Consumer, error) {
	const fn = pdk.FnClientLoadConsumer
	s, err := h.begin(fn)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	switch {
	case id == "":
		return nil, argError(fn, errors.New("id is empty"))
	case !byUsername && !isUUID(id):
		return nil, argError(fn, fmt.Errorf("id %q is not a UUID; set by_username to look for a username", id))
	}
	answer, err := h.ask(s, fn, id, byUsername)
	if err != nil || isNil(answer.Value) {
		return nil, err
	}
	c, err := decodeConsumer(answer.Value)
	if err != nil {
		return nil, &pdk.Error{Code: pdk.ErrHost.Code, Function: pdk.Functions[fn].Name, Message: err.Error()}
	}
	return c, nil
}

// ClientLoadCredential implements pdk.Backend.
func (h *handle) ClientLoadCredential(kind, key string) (*pdk.Credential, error) {
	const fn = pdk.FnClientLoadCredential
	s, err := h.begin(fn)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if kind == "" {
		return nil, argError(fn, errors.New("kind is empty; expected the name of a collection, such as keyauth_credentials"))
	}
	answer, err := h.ask(s, fn, kind, key)
	if err != nil || isNil(answer.Value) {
		return nil, err
	}
	c, err := decodeCredential(answer.Value)
	if err != nil {
		return nil, &pdk.Error{Code: pdk.ErrHost.Code, Function: pdk.Functions[fn].Name, Message: err.Error()}
	}
	return c, nil
}

// isUUID reports whether s has the form 8-4-4-4-12 of hex digits.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if unhex(s[i]) < 0 {
				return false
			}
		}
	}
	return true
}

// ClientAuthenticate implements pdk.Backend.
func (h *handle) ClientAuthenticate(consumer *pdk.Consumer, credential *pdk.Credential) error {
	const fn = pdk.FnClientAuthenticate
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if consumer == nil && credential == nil {
		return argError(fn, errNobody)
	}
	var value, credentialValue []byte
	if consumer != nil {
		if value, err = encodeValue(consumerFields(consumer)); err != nil {
			return argError(fn, fmt.Errorf("consumer: %w", err))
		}
		c := *consumer
		consumer = &c
	}
	if credential != nil {
		if credentialValue, err = encodeValue(credential.Map()); err != nil {
			return argError(fn, fmt.Errorf("credential: %w", err))
		}
		c := *credential
		c.Fields = maps.Clone(c.Fields)
		credential = &c
	}
	op := s.op(fn)
	op.Value, op.Credential = value, credentialValue
	s.view.authenticated, s.view.consumer, s.view.credential = true, consumer, credential
	return nil
}
