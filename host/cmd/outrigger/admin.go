package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/outrigger-gateway/outrigger/host"
)

// errNoAdmin: nobody says where the Admin listener is.
var errNoAdmin = errors.New("found no Admin listener in the settings, expected --admin host:port or unix:///path, or admin_listen in the file of --settings")

// adminAddress is where the Admin listener of a running gateway is: address, or what the settings say when it is "". errNoAdmin when they say nothing.
func adminAddress(address string, o host.Options) (string, error) {
	if address != "" {
		return address, nil
	}
	h, err := host.New(o)
	if err != nil {
		return "", err
	}
	if address = h.AdminSetting(); address == "" {
		return "", errNoAdmin
	}
	return address, nil
}

// adminClient talks to an Admin listener at host:port or unix:///path.
func adminClient(address string) *http.Client {
	network := "tcp"
	if path, unix := strings.CutPrefix(address, "unix://"); unix {
		network, address = "unix", path
	}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		DisableKeepAlives: true,
	}}
}

// askAdmin sends a request without a body to an Admin listener and reads its answer, which is JSON whatever the status is: the text as it is, and what of
// it has a place in into.
func askAdmin(ctx context.Context, address, method, path string, into any) (status int, text []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := adminClient(address).Do(req)
	if err != nil {
		return 0, nil, notAsked(address, err)
	}
	defer resp.Body.Close()
	if text, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, fmt.Errorf("reading the answer of the Admin listener at %s: %w", address, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return 0, nil, fmt.Errorf("found status %d and %.200q at %s, expected the JSON of an Admin listener", resp.StatusCode, text, address)
	}
	return resp.StatusCode, text, nil
}

// notAsked says why an Admin listener gives no answer. The URL in the errors of HTTP has a host that nobody has written, so it stays out.
func notAsked(address string, err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("asking the Admin listener at %s: %w", address, err)
}
