// Package client is kong.Client of go-pdk.
package client

import (
	"errors"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/entities"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Client tells who is calling.
type Client struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Client { return Client{c} }

// AuthenticatedCredential is a credential.
type AuthenticatedCredential struct {
	Id         string `json:"id"`
	ConsumerId string `json:"consumer_id"`
}

// GetIp returns the address of the direct peer.
func (c Client) GetIp() (ip string, err error) {
	return call.Read(c.call, pdk.FnClientGetIP, c.call.PDK.Client.GetIP)
}

// GetForwardedIp returns the address of the client behind trusted peers.
func (c Client) GetForwardedIp() (string, error) {
	return call.Read(c.call, pdk.FnClientGetForwardedIP, c.call.PDK.Client.GetForwardedIP)
}

// GetPort returns the port of the direct peer.
func (c Client) GetPort() (int, error) {
	return call.Read(c.call, pdk.FnClientGetPort, c.call.PDK.Client.GetPort)
}

// GetForwardedPort returns the port of the client behind trusted peers, 0 when it is not known.
func (c Client) GetForwardedPort() (int, error) {
	return call.Read(c.call, pdk.FnClientGetForwardedPort, func() int {
		port, _ := c.call.PDK.Client.GetForwardedPort()
		return port
	})
}

// GetCredential returns the credential that authenticated the request, an empty one when there is none.
func (c Client) GetCredential() (cred AuthenticatedCredential, err error) {
	found, err := call.Read(c.call, pdk.FnClientGetCredential, c.call.PDK.Client.GetCredential)
	if found != nil {
		cred = AuthenticatedCredential{Id: found.ID, ConsumerId: found.ConsumerID}
	}
	return cred, err
}

// LoadConsumer finds a consumer by id or, if asked, by name. It returns an empty one when there is none.
func (c Client) LoadConsumer(consumer_id string, by_username bool) (consumer entities.Consumer, err error) {
	found, err := c.call.PDK.Client.LoadConsumer(consumer_id, by_username)
	return consumerOf(found), err
}

// GetConsumer returns the consumer of the request, an empty one when there is none.
func (c Client) GetConsumer() (consumer entities.Consumer, err error) {
	found, err := call.Read(c.call, pdk.FnClientGetConsumer, c.call.PDK.Client.GetConsumer)
	return consumerOf(found), err
}

func consumerOf(c *pdk.Consumer) entities.Consumer {
	if c == nil {
		return entities.Consumer{}
	}
	return entities.Consumer{Id: c.ID, CreatedAt: int(c.CreatedAt), Username: c.Username, CustomId: c.CustomID, Tags: c.Tags}
}

// Authenticate sets consumer and credential of the request; one of them may be nil.
func (c Client) Authenticate(consumer *entities.Consumer, credential *AuthenticatedCredential) error {
	if consumer == nil && credential == nil {
		return errors.New("either credential or consumer must be provided")
	}
	var who *pdk.Consumer
	if consumer != nil {
		who = &pdk.Consumer{ID: consumer.Id, CreatedAt: int64(consumer.CreatedAt), Username: consumer.Username, CustomID: consumer.CustomId, Tags: consumer.Tags}
	}
	var how *pdk.Credential
	if credential != nil {
		how = &pdk.Credential{ID: credential.Id, ConsumerID: credential.ConsumerId}
	}
	return c.call.PDK.Client.Authenticate(who, how)
}

// GetProtocol returns the protocol by which the request reached the route.
func (c Client) GetProtocol(allow_terminated bool) (string, error) {
	return c.call.PDK.Client.GetProtocol(allow_terminated)
}
