package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// reach uses what lies beyond the request: the node, its vault and cache, the place where the request goes.
type reach struct {
	Password string `json:"password" schema:"default=none,secret,referenceable"`
	Refuse   bool   `json:"refuse"`
}

func (r *reach) Configure() error {
	if r.Refuse {
		return errors.New("the password is " + r.Password)
	}
	return nil
}

func (r *reach) Access(k *pdk.PDK) error {
	seen := map[string]any{"password": r.Password}
	secret, err1 := k.Vault.Get("{vault://env/reach-secret}")
	method, _, err2 := k.Nginx.GetVar("request_method")
	counters, err3 := k.Nginx.GetStatistics()
	settings, err4 := k.Node.GetConfiguration()
	memory, err5 := k.Node.GetMemoryStats("k", 1)
	count, err6 := k.Cache.Get("count")
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	n, _ := count.(int64)
	requests, _ := counters["total_requests"].(int64)
	process, _ := memory["process"].(map[string]any)
	heap, _ := process["heap"].(string)
	cluster, _ := k.Cluster.GetID()
	seen["secret"], seen["method"], seen["requests"], seen["level"] = secret, method, requests > 0, settings["log_level"]
	seen["memory"], seen["count"], seen["cluster"], seen["id"] = strings.HasSuffix(heap, " KiB"), n, cluster, k.Plugin.GetID()
	seen["traceparent"], _ = k.Tracing.GetTraceparent()
	span := k.Tracing.StartSpan("reach", map[string]any{"n": n})
	span.Finish()
	if err := errors.Join(k.Cache.Set("count", n+1, 60), k.CtxPlugin.Set("count", n), k.Telemetry.Log("reach-go", map[string]any{}, "test", "telemetry of go", map[string]any{"n": n})); err != nil {
		return err
	}
	if group, ok := k.Request.GetHeader("X-Group"); ok {
		if err := k.Client.SetAuthenticatedConsumerGroup(&pdk.ConsumerGroup{ID: group}); err != nil {
			return err
		}
	}
	if name, ok := k.Request.GetHeader("X-Upstream"); ok {
		if err := k.Service.SetUpstream(name); err != nil {
			seen["upstream"] = err.Error()[:len("bad_data")]
		}
	}
	text, err := json.Marshal(seen)
	if err != nil {
		return err
	}
	return k.ServiceRequest.SetHeader("X-Reach", string(text))
}

func (r *reach) Log(k *pdk.PDK) error {
	text, err := k.Log.Serialize()
	if err != nil {
		return err
	}
	var entry struct{ Spans []struct{ Name string } }
	if err := json.Unmarshal([]byte(text), &entry); err != nil || len(entry.Spans) == 0 {
		return fmt.Errorf("no spans, %v", err)
	}
	k.Log.Notice("reach-go logged ", k.CtxPlugin.Get("count"), " ", entry.Spans[0].Name)
	return nil
}

// group tells for which group its record is.
type group struct {
	Of string `json:"of"`
}

func (g *group) Access(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-Group-Of", g.Of) }
