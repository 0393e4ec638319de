package main

import (
	"errors"
	"net/http"
	"testing"

	outrigger "github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/server"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

const config = `{"apikey":"s3cret","consumers":{"k-bob":"bob"}}`

func run(t *testing.T, config string, req pdktest.Request) pdktest.Result {
	t.Helper()
	p, err := server.Plugin(New, Version, Priority, server.Name("key-checker"), server.Authenticates())
	if err != nil {
		t.Fatal(err)
	}
	x := pdktest.New(req)
	x.Consumers = []*outrigger.Consumer{{ID: "f1d2d2f9-24e9-46ac-8635-06d52d3d1f2b", Username: "bob"}}
	if err := x.Use(p, config); err != nil {
		t.Fatal(err)
	}
	lastError = nil
	return x.Run()
}

func TestWhoKnowsTheKeyPasses(t *testing.T) {
	for name, req := range map[string]pdktest.Request{
		"argument": {URL: "http://gw.test/?key=s3cret"}, "header": {Header: http.Header{"X-Api-Key": {"s3cret"}}},
	} {
		res := run(t, config, req)
		if res.Response.Status != 200 || res.Upstream == nil || res.Upstream.Header.Get("X-Checked") != "yes" || lastError != nil {
			t.Errorf("%s: %+v, %v", name, res, lastError)
		}
	}
}

func TestWhoDoesNotIsTurnedAway(t *testing.T) {
	res := run(t, config, pdktest.Request{URL: "http://gw.test/?key"})
	if res.Response.Status != 403 || res.Upstream != nil || res.Source != "exit" || string(res.Response.Body) != `{"message":"You have no correct key"}` ||
		res.Response.Header.Get("Content-Type") != "application/json" || len(res.Failures) > 0 {
		t.Errorf("%+v %s", res, res.Response.Body)
	}
	if !errors.Is(lastError, outrigger.ErrPhase) {
		t.Errorf("after the exit: %v", lastError)
	}
	if res := run(t, `{"codes":[401],"retry":{"after":5}}`, pdktest.Request{}); res.Response.Status != 401 {
		t.Errorf("another status: %+v", res)
	}
}

// TestAnExitThatIsRefused must not let the request pass.
func TestAnExitThatIsRefused(t *testing.T) {
	res := run(t, `{"codes":[42]}`, pdktest.Request{})
	if res.Response.Status != 500 || res.Upstream != nil || len(res.Failures) != 1 || res.Failures[0].Err.Code != outrigger.ErrArg.Code {
		t.Errorf("%+v", res)
	}
}

func TestConsumers(t *testing.T) {
	res := run(t, config, pdktest.Request{Header: http.Header{"X-Api-Key": {"k-bob"}}})
	if res.Consumer == nil || res.Consumer.Username != "bob" || res.Credential == nil || res.Credential.ID != "k-bob" {
		t.Errorf("%+v", res)
	}
}

func TestTheConfigurationIsChecked(t *testing.T) {
	p, err := server.Plugin(New, Version, Priority)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{`{"apikey":5}`, `{"retry":{"after":-1}}`, `{"codes":["x"]}`, `{"unknown":1}`, `{"retry":{"later":1}}`} {
		if err := pdktest.New(pdktest.Request{}).Use(p, wrong); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}
