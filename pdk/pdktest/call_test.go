package pdktest_test

import (
	"slices"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// A handler runs on facts that no Request can say, with an answer of the test's own; the next one sees what it wrote.
func TestCall(t *testing.T) {
	x := pdktest.New(pdktest.Request{})
	x.Node = &local.Node{ID: "node", Hostname: "h"}
	x.Script = func(question *wire.Ask) *wire.Answer {
		if question.Fn != wire.AskRequestGetRawBody {
			return nil
		}
		return &wire.Answer{Bytes: []byte("scripted"), IsBytes: true}
	}
	x.Consumers = []*pdk.Consumer{{ID: "f1d2d2f9-24e9-86ac-8635-06d52d3d1f2b", Username: "bob"}}
	use(t, x, plugin("first", 2, pdk.Handlers{Access: func(k *pdk.PDK) error {
		body, err := k.Request.GetRawBody()
		if err != nil {
			return err
		}
		bob, err := k.Client.LoadConsumer("bob", true)
		if err != nil {
			return err
		}
		k.Log.Warn(k.Node.GetID(), " ", k.Request.GetHTTPVersion(), " ", string(body), " ", bob.Username)
		return k.ServiceRequest.SetHeader("X-A", "1")
	}}))
	use(t, x, plugin("second", 1, pdk.Handlers{Access: func(k *pdk.PDK) error {
		value, _ := k.Request.GetHeader("x-a")
		return k.ServiceRequest.SetHeader("X-B", value)
	}}))
	out := x.Call(&wire.Call{Phase: pdk.PhaseAccess.Code(), Facts: &wire.Facts{Request: wire.Request{Method: "GET", HTTPVersion: 20, Target: "/", Path: "/"}}})
	if out.Err != nil || len(out.Ops) != 1 || out.Ops[0].Name != "X-B" || !slices.Equal(out.Ops[0].Values, []string{"1"}) {
		t.Errorf("outcome %+v", out)
	}
	if lines := x.Log(); len(lines) != 1 || lines[0].Message != "node 2 scripted bob" {
		t.Errorf("log %+v", lines)
	}
}
