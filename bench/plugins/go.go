package plugins

import (
	"errors"
	"strconv"

	"github.com/outrigger-gateway/outrigger/pdk"
)

const version = "0.1.0"

// work is bench-work, or one of its numbered copies.
func work(number int) pdk.Plugin {
	name, header := "bench-work", "X-Bench"
	if number > 1 {
		name, header = name+"-"+strconv.Itoa(number), header+"-"+strconv.Itoa(number)
	}
	return pdk.Plugin{Name: name, Version: version, Priority: 510 - number, New: func() any { return &worker{header: header} }}
}

type worker struct{ header string }

// Access greets whom X-Name names, if somebody asks.
func (w *worker) Access(k *pdk.PDK) error {
	name, _ := k.Request.GetHeader("X-Name")
	agent, _ := k.Request.GetHeader("User-Agent")
	if agent == "" {
		return nil
	}
	text := "hello, " + name
	return errors.Join(k.ServiceRequest.SetHeader(w.header, text), k.Response.SetHeader(w.header, text))
}

// calls is bench-calls. It shows what PDK calls cost: a plugin that reads more should not be slower to a degree that anybody sees.
var calls = pdk.Plugin{Name: "bench-calls", Version: version, Priority: 500, New: func() any { return &caller{Calls: 1} }}

type caller struct {
	Calls int `json:"calls" schema:"min=0,max=1000"`
}

var read = []string{"User-Agent", "Accept", "X-Name", "Authorization", "X-Absent"}

// Access makes the calls: every tenth sets a header of the upstream request, the last one sets X-Calls, all others read.
func (c *caller) Access(k *pdk.PDK) error {
	for i := 1; i < c.Calls; i++ {
		switch i % 10 {
		case 5:
			_ = k.Request.GetMethod()
		case 6:
			_ = k.Request.GetPath()
		case 7:
			_, _ = k.Request.GetQueryArg("page")
		case 8:
			_ = k.Client.GetIP()
		case 9:
			if err := k.ServiceRequest.SetHeader("X-Calls-"+strconv.Itoa(i), "set"); err != nil {
				return err
			}
		default:
			_, _ = k.Request.GetHeader(read[i%10])
		}
	}
	if c.Calls == 0 {
		return nil
	}
	return k.ServiceRequest.SetHeader("X-Calls", strconv.Itoa(c.Calls))
}

// requestBody is bench-body.
var requestBody = pdk.Plugin{Name: "bench-body", Version: version, Priority: 490, New: func() any { return &bodyReader{} }}

type bodyReader struct{}

// Access tells the upstream how long the body is that it has read.
func (*bodyReader) Access(k *pdk.PDK) error {
	body, err := k.Request.GetRawBody()
	if err != nil {
		return err
	}
	return k.ServiceRequest.SetHeader("X-Body-Length", strconv.Itoa(len(body)))
}

// responseBody is bench-response-body.
var responseBody = pdk.Plugin{Name: "bench-response-body", Version: version, Priority: 480, New: func() any { return &responseReader{} }}

type responseReader struct{}

// Response tells the client how long the body is that it has read.
func (*responseReader) Response(k *pdk.PDK) error {
	body, err := k.ServiceResponse.GetRawBody()
	if err != nil {
		return err
	}
	return k.Response.SetHeader("X-Body-Length", strconv.Itoa(len(body)))
}

type noop struct{}

// Access does nothing.
func (*noop) Access(*pdk.PDK) error { return nil }
