package pdk_test

import (
	"errors"
	"strings"
	"testing"

	outrigger "github.com/outrigger-gateway/outrigger/pdk"
	pdk "github.com/outrigger-gateway/outrigger/pdk/kongcompat"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/client"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/entities"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/node"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

// What go-pdk v0.11 offers, by the fields of its PDK. That these compile is the test.
var kong pdk.PDK

var (
	_ interface {
		GetIp() (string, error)
		GetForwardedIp() (string, error)
		GetPort() (int, error)
		GetForwardedPort() (int, error)
		GetCredential() (client.AuthenticatedCredential, error)
		LoadConsumer(consumer_id string, by_username bool) (entities.Consumer, error)
		GetConsumer() (entities.Consumer, error)
		Authenticate(consumer *entities.Consumer, credential *client.AuthenticatedCredential) error
		GetProtocol(allow_terminated bool) (string, error)
	} = kong.Client
	_ interface {
		SetShared(k string, value interface{}) error
		GetSharedAny(k string) (interface{}, error)
		GetSharedString(k string) (string, error)
		GetSharedFloat(k string) (float64, error)
	} = kong.Ctx
	_ interface {
		Alert(args ...interface{}) error
		Crit(args ...interface{}) error
		Err(args ...interface{}) error
		Warn(args ...interface{}) error
		Notice(args ...interface{}) error
		Info(args ...interface{}) error
		Debug(args ...interface{}) error
		Serialize() (string, error)
	} = kong.Log
	_ interface {
		GetVar(k string) (string, error)
		GetTLS1VersionStr() (string, error)
		SetCtx(k string, v interface{}) error
		GetCtxAny(k string) (interface{}, error)
		GetCtxString(k string) (string, error)
		GetCtxFloat(k string) (float64, error)
		GetCtxInt(k string) (int, error)
		ReqStartTime() (float64, error)
		GetSubsystem() (string, error)
	} = kong.Nginx
	_ interface {
		GetScheme() (string, error)
		GetHost() (string, error)
		GetPort() (int, error)
		GetForwardedScheme() (string, error)
		GetForwardedHost() (string, error)
		GetForwardedPort() (int, error)
		GetHttpVersion() (float64, error)
		GetMethod() (string, error)
		GetPath() (string, error)
		GetPathWithQuery() (string, error)
		GetRawQuery() (string, error)
		GetQueryArg(k string) (string, error)
		GetQuery(max_args int) (map[string][]string, error)
		GetHeader(k string) (string, error)
		GetHeaders(max_headers int) (map[string][]string, error)
		GetRawBody() ([]byte, error)
		GetUriCaptures() ([][]byte, map[string][]byte, error)
	} = kong.Request
	_ interface {
		GetStatus() (int, error)
		GetHeader(name string) (string, error)
		GetHeaders(max_headers int) (map[string][]string, error)
		GetSource() (string, error)
		SetStatus(status int) error
		SetHeader(k string, v string) error
		AddHeader(k string, v string) error
		ClearHeader(k string) error
		SetHeaders(headers map[string][]string) error
		Exit(status int, body []byte, headers map[string][]string)
		ExitStatus(status int)
	} = kong.Response
	_ interface {
		GetRoute() (entities.Route, error)
		GetService() (entities.Service, error)
	} = kong.Router
	_ interface {
		IsTrusted(address string) (bool, error)
	} = kong.IP
	_ interface {
		GetId() (string, error)
		GetMemoryStats() (node.MemoryStats, error)
	} = kong.Node
	_ interface {
		SetUpstream(host string) error
		SetTarget(host string, port int) error
	} = kong.Service
	_ interface {
		SetScheme(scheme string) error
		SetPath(path string) error
		SetRawQuery(query string) error
		SetMethod(method string) error
		SetQuery(query map[string][]string) error
		SetHeader(name string, value string) error
		AddHeader(name string, value string) error
		ClearHeader(name string) error
		SetHeaders(headers map[string][]string) error
		SetRawBody(body string) error
	} = kong.ServiceRequest
	_ interface {
		GetStatus() (int, error)
		GetHeaders(max_headers int) (map[string][]string, error)
		GetHeader(name string) (string, error)
		GetRawBody() ([]byte, error)
	} = kong.ServiceResponse
)

// config is a plugin whose handlers the test gives.
type config struct {
	Words  []string
	Unused chan int
	access func(*pdk.PDK)
	log    func(*pdk.PDK)
	wrong  error
}

func (c *config) Access(kong *pdk.PDK)  { c.access(kong) }
func (c *config) Log(kong *pdk.PDK)     { c.log(kong) }
func (c *config) Preread(kong *pdk.PDK) {}
func (c *config) Validate() error       { return c.wrong }

func nothing(*pdk.PDK) {}

func TestReadsInAWrongPhaseAreErrors(t *testing.T) {
	x := pdktest.New(pdktest.Request{})
	c := &config{log: nothing, access: func(kong *pdk.PDK) {
		if status, err := kong.Response.GetStatus(); status != 0 || !errors.Is(err, outrigger.ErrPhase) {
			t.Errorf("the status in access: %d %v", status, err)
		}
		if _, err := kong.ServiceResponse.GetRawBody(); !errors.Is(err, outrigger.ErrPhase) {
			t.Errorf("the body of the response in access: %v", err)
		}
		if err := kong.Response.SetStatus(42); !errors.Is(err, outrigger.ErrArg) {
			t.Errorf("a status that is none: %v", err)
		}
		if _, err := kong.Ctx.GetSharedString("none"); err == nil {
			t.Error("a missing text is no error")
		}
		if consumer, err := kong.Client.GetConsumer(); consumer.Id != "" || err != nil {
			t.Errorf("consumer %+v %v", consumer, err)
		}
		stats, err := kong.Node.GetMemoryStats()
		if len(stats.WorkersLuaVms) != 1 || err != nil {
			t.Errorf("memory %+v %v", stats, err)
		}
		if kong.Outrigger.Node.GetVersion() == "" {
			t.Error("the whole PDK is not there")
		}
	}}
	if err := x.Use(pdk.Plugin("p", "1", 1, func() interface{} { return c }), `{"words":["a"]}`); err != nil {
		t.Fatal(err)
	}
	if res := x.Run(); len(res.Failures) > 0 {
		t.Errorf("failures %+v", res.Failures)
	}
	if len(c.Words) != 1 {
		t.Errorf("configuration %+v", c)
	}
}

func TestThePDKIsOverWithTheHandler(t *testing.T) {
	x := pdktest.New(pdktest.Request{})
	var kept *pdk.PDK
	c := &config{access: func(kong *pdk.PDK) { kept = kong }, log: func(*pdk.PDK) {
		if _, err := kept.Request.GetMethod(); !errors.Is(err, outrigger.ErrPhase) {
			t.Errorf("a PDK of an earlier phase: %v", err)
		}
		if err := kept.Log.Err("late"); !errors.Is(err, outrigger.ErrPhase) {
			t.Errorf("its log: %v", err)
		}
	}}
	if err := x.Use(pdk.Plugin("p", "1", 1, func() interface{} { return c }), ""); err != nil {
		t.Fatal(err)
	}
	if res := x.Run(); len(res.Failures) > 0 || len(res.Log) > 0 {
		t.Errorf("result %+v", res)
	}
}

// another has a method with a handler's name that go-pdk would never call, silent has none.
type (
	another struct{}
	silent  struct{}
)

func (another) Access(*outrigger.PDK) {}
func (silent) Preread(*pdk.PDK)       {}

// These have a hook that would never be called.
type (
	accessing       struct{}
	validatesWrong  struct{ accessing }
	configuresWrong struct{ accessing }
	closesWrong     struct{ accessing }
)

func (accessing) Access(*pdk.PDK)                {}
func (validatesWrong) Validate()                 {}
func (configuresWrong) Configure(map[string]any) {}
func (closesWrong) Close() bool                  { return true }

// hooked has hooks without an error result.
type hooked struct {
	accessing
	calls string
}

func (h *hooked) Configure() { h.calls += "configure " }
func (h *hooked) Close()     { h.calls += "close" }

func TestHooksWithoutAnError(t *testing.T) {
	in := &hooked{}
	h, err := outrigger.HandlersOf(pdk.Plugin("p", "1", 1, func() interface{} { return in }).New())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Configure(), h.Close()); err != nil || in.calls != "configure close" {
		t.Errorf("calls %q, error %v", in.calls, err)
	}
}

func TestPluginsThatCannotRun(t *testing.T) {
	for want, constructor := range map[string]func() interface{}{
		"method Access is func(*pdk.PDK), expected": func() interface{} { return &another{} },
		"handles no phase that Outrigger has":       func() interface{} { return &silent{} },
		"pointer":                                   func() interface{} { return config{} },
		"refused":                                   func() interface{} { return &config{wrong: errors.New("refused")} },
		"method Validate is func(), expected":       func() interface{} { return &validatesWrong{} },
		"method Configure is func(map[string]inter": func() interface{} { return &configuresWrong{} },
		"method Close is func() bool, expected":     func() interface{} { return &closesWrong{} },
	} {
		err := pdktest.New(pdktest.Request{}).Use(pdk.Plugin("p", "1", 1, constructor), "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// nested has defaults whose fields have no json tags.
type nested struct {
	Limits []struct {
		Name  string
		Count int `json:"count"`
	}
	Inner struct{ Deep []string }
}

func (n nested) Access(kong *pdk.PDK) {
	kong.Response.Exit(200+n.Limits[0].Count, []byte(n.Limits[0].Name), nil)
}

func TestDefaultsWithoutTags(t *testing.T) {
	constructor := func() interface{} {
		n := &nested{}
		n.Limits = append(n.Limits, struct {
			Name  string
			Count int `json:"count"`
		}{"first", 2})
		return n
	}
	for config, want := range map[string]string{`{}`: "first", `{"limits":[{"name":"given","count":2}],"inner":{"deep":["x"]}}`: "given"} {
		x := pdktest.New(pdktest.Request{})
		if err := x.Use(pdk.Plugin("p", "1", 1, constructor), config); err != nil {
			t.Fatal(err)
		}
		if res := x.Run(); res.Response.Status != 202 || string(res.Response.Body) != want {
			t.Errorf("%s: %d %q", config, res.Response.Status, res.Response.Body)
		}
	}
}
