// Package identity is what plugins that authenticate have in common: they set the consumer, and the headers by which the upstream learns who it is.
package identity

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Refusal says why a request is not authenticated.
type Refusal struct {
	Status  int
	Message string
}

// Unexpected is the refusal when the host cannot look something up.
var Unexpected = &Refusal{http.StatusInternalServerError, "An unexpected error occurred"}

// HostFailure makes a refusal of what the host could not answer. A call that has ended stays an error.
func HostFailure(k *pdk.PDK, doing string, err error) (*Refusal, error) {
	if errors.Is(err, pdk.ErrPhase) {
		return nil, err
	}
	k.Log.Err(doing, ": ", err)
	return Unexpected, nil
}

// Accept authenticates the request as the consumer of a credential. identifier is what the upstream is told of the credential.
func Accept(k *pdk.PDK, credential *pdk.Credential, identifier string) (*Refusal, error) {
	consumer, err := k.Client.LoadConsumer(credential.ConsumerID, false)
	if err == nil && consumer == nil {
		err = fmt.Errorf("there is no consumer %s", credential.ConsumerID)
	}
	if err != nil {
		return HostFailure(k, "loading the consumer of credential "+credential.ID, err)
	}
	return nil, set(k, consumer, credential, identifier)
}

// Authenticate runs the access handler of a plugin that authenticates. try authenticates the request or says why it cannot; then the anonymous
// consumer, an id or a username, becomes the request's, and without one the refusal is the answer. With an anonymous consumer a request that
// another plugin has authenticated is left alone. A status 401 carries the challenge.
func Authenticate(k *pdk.PDK, anonymous *string, challenge map[string][]string, try func(*pdk.PDK) (*Refusal, error)) error {
	if anonymous != nil && k.Client.GetCredential() != nil {
		return nil
	}
	refused, err := try(k)
	if err != nil || refused == nil {
		return err
	}
	return refuse(k, refused, anonymous, challenge)
}

func refuse(k *pdk.PDK, refused *Refusal, anonymous *string, challenge map[string][]string) error {
	switch {
	case anonymous != nil:
		return fallBack(k, *anonymous)
	case refused.Status == http.StatusUnauthorized:
		return k.Response.Error(refused.Status, refused.Message, challenge)
	}
	return k.Response.Error(refused.Status, refused.Message, nil)
}

func fallBack(k *pdk.PDK, name string) error {
	consumer, err := k.Client.LoadConsumer(name, true)
	if err != nil {
		return fmt.Errorf("loading anonymous consumer %q: %w", name, err)
	}
	if consumer == nil {
		return k.Response.Error(http.StatusInternalServerError, "anonymous consumer "+name+" is configured but doesn't exist", nil)
	}
	return set(k, consumer, nil, "")
}

// set sets the consumer and tells the upstream who it is; without a credential it is the anonymous one.
func set(k *pdk.PDK, consumer *pdk.Consumer, credential *pdk.Credential, identifier string) error {
	if err := k.Client.Authenticate(consumer, credential); err != nil {
		return err
	}
	anonymous := ""
	if credential == nil {
		anonymous = "true"
	}
	for _, h := range [...]struct{ name, value string }{
		{"X-Consumer-ID", consumer.ID},
		{"X-Consumer-Custom-ID", consumer.CustomID},
		{"X-Consumer-Username", consumer.Username},
		{"X-Credential-Identifier", identifier},
		{"X-Anonymous-Consumer", anonymous},
	} {
		var err error
		if h.value == "" {
			err = k.ServiceRequest.ClearHeader(h.name)
		} else {
			err = k.ServiceRequest.SetHeader(h.name, h.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Challenge makes the header WWW-Authenticate: the scheme, with the realm if there is one.
func Challenge(scheme string, realm *string) map[string][]string {
	if realm != nil {
		scheme += ` realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(*realm) + `"` // RFC 9110 section 5.6.4
	}
	return map[string][]string{"WWW-Authenticate": {scheme}}
}
