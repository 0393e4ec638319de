package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/schema"
)

// probe does in access what its configuration says.
type probe struct {
	Do   string `json:"do" schema:"default=mark"`
	Mark string `json:"mark" schema:"default=m,minlen=1"`
	MS   int    `json:"ms" schema:"min=0"`

	open bool
}

// gate lets tests hold handlers in this process: a handler that blocks tells entered and waits for open.
type gate struct {
	entered chan string
	open    chan struct{}
	stopped atomic.Bool
}

var (
	gates  sync.Map // mark → *gate
	closes atomic.Int64
)

func newGate(mark string) *gate {
	g := &gate{entered: make(chan string, 1000), open: make(chan struct{})}
	gates.Store(mark, g)
	return g
}

func (p *probe) Configure() error {
	switch p.Do {
	case "refuse field":
		return fmt.Errorf("probe: %w", &pdk.ConfigError{Path: "limits.0", Message: "found 9"})
	case "refuse":
		return errors.New("refused by Configure")
	case "refuse without a fault":
		return &schema.Error{}
	case "fragile":
		return fragile{}
	case "panic in Configure":
		panic("in Configure")
	}
	p.open = true
	return nil
}

// fragile is an error whose methods panic.
type fragile struct{}

func (fragile) Error() string { panic("in Error") }
func (fragile) Unwrap() error { panic("in Unwrap") }

func (p *probe) Close() { closes.Add(1) }

func (p *probe) Access(k *pdk.PDK) error {
	switch p.Do {
	case "mark":
		name, _ := k.Request.GetHeader("X-Name")
		return errors.Join(k.ServiceRequest.SetHeader("X-Mark", p.Mark, name), k.CtxShared.Set("mark", p.Mark))
	case "nothing":
	case "panic first":
		panic("first")
	case "panic between":
		_ = k.ServiceRequest.SetHeader("X-Mark", p.Mark)
		_ = []string{}[len(p.Mark)] // a panic of the runtime, where "panic first" is one of the plugin's own
	case "error":
		_ = k.ServiceRequest.SetHeader("X-Mark", p.Mark)
		return errors.New("no")
	case "shout":
		for range 64 {
			k.Log.Err(strings.Repeat("x", 32<<10))
		}
	case "nil in an error":
		var none *fragile
		return none
	case "goexit":
		runtime.Goexit()
	case "wait":
		g, _ := gates.Load(p.Mark)
		g.(*gate).entered <- k.Request.GetPath()
		<-g.(*gate).open
		return k.ServiceRequest.SetHeader("X-Mark", p.Mark)
	case "wait for the context":
		<-k.Context().Done()
		if err := k.ServiceRequest.SetHeader("X-Mark", p.Mark); !errors.Is(err, pdk.ErrPhase) {
			panic(fmt.Sprint("a write after the end: ", err))
		}
		g, _ := gates.Load(p.Mark)
		g.(*gate).entered <- "ended"
	case "sleep":
		time.Sleep(time.Duration(p.MS) * time.Millisecond)
	case "look": // what the steps before have left
		mark, _ := k.Request.GetHeader("x-mark")
		return k.CtxShared.Set("seen", []any{mark, k.CtxShared.Get("mark"), k.CtxPlugin.Get("own"), k.Request.GetMethod()})
	case "method":
		return errors.Join(k.ServiceRequest.SetMethod("PUT"), k.CtxPlugin.Set("own", "of another"))
	case "say":
		k.Log.Notice(p.Mark)
	case "spin":
		g, _ := gates.Load(p.Mark)
		g.(*gate).entered <- "spinning"
		for n := 0; !g.(*gate).stopped.Load(); n++ {
			_ = n
		}
	case "leave a question":
		g, _ := gates.Load(p.Mark)
		go func() {
			_, err := k.Request.GetRawBody()
			g.(*gate).entered <- fmt.Sprint(err)
		}()
		<-g.(*gate).open
	case "vars":
		a, _, err := k.Nginx.GetVar("a")
		if err != nil {
			return err
		}
		b, _, err := k.Nginx.GetVar("b")
		if err != nil {
			return err
		}
		body, err := k.Request.GetRawBody()
		if err != nil {
			return err
		}
		if err := k.CtxShared.Set("vars", a+b+string(body)); err != nil {
			return err
		}
		again, _, err := k.Nginx.GetVar("a") // an operation has been recorded
		if err != nil {
			return err
		}
		return k.CtxShared.Set("again", again)
	case "print":
		fmt.Println("printed by a plugin")
	case "exit":
		if err := k.Response.Exit(403, map[string]any{"message": p.Mark}, map[string][]string{"X-Exit": {"1"}}); err != nil {
			return err
		}
		if err := k.CtxShared.Set("late", 1); !errors.Is(err, pdk.ErrPhase) {
			panic("a write after the exit was taken")
		}
		panic("after the exit")
	case "exit and wait":
		if err := k.Response.Exit(403, nil, nil); err != nil {
			return err
		}
		g, _ := gates.Load(p.Mark)
		g.(*gate).entered <- "exited"
		<-g.(*gate).open
	case "body":
		body, err := k.Request.GetRawBody()
		if err != nil {
			return err
		}
		return k.ServiceRequest.SetRawBody(bytes.ToUpper(body))
	case "ask in the background":
		g, _ := gates.Load(p.Mark)
		go func() {
			_, err := k.Request.GetRawBody()
			g.(*gate).entered <- fmt.Sprint(err)
		}()
		<-g.(*gate).open
	case "consumer":
		c, err := k.Client.LoadConsumer("bob", true)
		if err != nil {
			return err
		}
		return k.Client.Authenticate(c, &pdk.Credential{ID: "k", Fields: map[string]any{"f": false, "n": nil, "l": []any{}, "m": map[string]any{}}})
	case "values":
		for _, key := range []string{"true", "false", "zero", "float", "text", "bytes", "list", "map", "latin"} {
			if err := k.CtxShared.Set(key+"2", k.CtxShared.Get(key)); err != nil {
				return err
			}
		}
	case "facts":
		route, service, consumer := k.Router.GetRoute(), k.Router.GetService(), k.Client.GetConsumer()
		prefix, _ := k.Request.GetForwardedPrefix()
		captures := k.Request.GetURICaptures()
		return k.CtxShared.Set("facts", []any{
			route.Name, service.Host, consumer.Username, k.Client.GetCredential().Map(), k.Request.GetPath(), k.Request.GetRawQuery(),
			k.Request.GetPathWithQuery(), k.Request.GetHTTPVersion(), k.Client.GetForwardedIP(), prefix, captures.Unnamed, captures.Named,
			k.Node.GetHostname(), k.IP.IsTrusted("10.1.1.1"),
		})
	case "new facts":
		cluster, _ := k.Cluster.GetID()
		tls, _ := k.Nginx.GetTLS1VersionStr()
		if err := k.Telemetry.Log("probe", nil, "t", "m", nil); err != nil {
			return err
		}
		return k.CtxPlugin.Set("facts", []any{
			k.Plugin.GetID(), cluster, k.Node.GetVersion(), tls, k.Client.GetConsumerGroup().Name, k.CtxPlugin.Get("seen"), len(k.Client.GetConsumerGroups()),
		})
	case "log":
		for i := range 1000 {
			k.Log.Notice("line ", i)
		}
		k.Log.Debug("hidden")
		k.Log.Err(strings.Repeat("x", maxLine+10))
	case "many writes":
		for i := range 10_000 {
			if err := k.CtxShared.Set(fmt.Sprint(i%10), i); err != nil {
				return err
			}
		}
	case "large header":
		return k.ServiceRequest.SetHeader("X-Large", strings.Repeat("x", 17<<20))
	case "hammer": // lesson 22
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					_ = k.ServiceRequest.AddHeader("X-A", "1")
					k.Log.Err("hammer")
					_, _ = k.Request.GetRawBody()
				}
			})
		}
		wg.Wait()
	case "kill":
		p, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		return p.Kill()
	default:
		return fmt.Errorf("the probe does not know %q", p.Do)
	}
	return nil
}

func (p *probe) BodyFilter(k *pdk.PDK, chunk []byte, last bool) []byte {
	if p.Do == "body" {
		return bytes.ToUpper(chunk)
	}
	return nil
}

func (p *probe) Response(k *pdk.PDK) error {
	body, err := k.ServiceResponse.GetRawBody()
	if err != nil {
		return err
	}
	return k.Response.SetRawBody(append(body, '!'))
}

var probePlugin = pdk.Plugin{
	Name: "probe", Version: "1.2.3", Priority: 7, New: func() any { return &probe{} }, Authenticates: true, Needs: pdk.NeedResponseBody,
}

// until gives a context for waiting in tests.
func until(d time.Duration) context.Context { return within(d) }
