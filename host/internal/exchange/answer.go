package exchange

import (
	"errors"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Ask answers a question of a handler, native or remote, on the request's own goroutine: reading a body may block.
func (e *Exchange) Ask(a *wire.Ask) wire.Answer {
	switch a.Fn {
	case pdk.AskRequestGetRawBody:
		if e.Upstream.HasBody {
			return wire.Answer{Bytes: e.Upstream.Body, IsBytes: true}
		}
		return bytesAnswer(e.Live.RequestBody())
	case pdk.AskServiceResponseGetRawBody:
		if !e.Facts.HasServiceResponse {
			return failed(wire.CodeBadData, "the request was not proxied: there is no body of an upstream")
		}
		return bytesAnswer(e.Live.ResponseBody())
	case pdk.AskLogSerialize:
		text, err := e.Serialize()
		if err != nil {
			return failed(wire.CodeHostError, err.Error())
		}
		return valueAnswer(text)
	case pdk.AskClientLoadConsumer:
		id, err1 := stringArg(a, 0)
		byName, err2 := boolArg(a, 1)
		if err := errors.Join(err1, err2); err != nil {
			return failed(wire.CodeBadArgument, err.Error())
		}
		if _, doc := e.Dir.Consumer(id, byName); doc != nil {
			return wire.Answer{Value: doc.Doc}
		}
		return wire.Answer{}
	case pdk.AskClientLoadCredential:
		kind, err1 := stringArg(a, 0)
		key, err2 := stringArg(a, 1)
		if err := errors.Join(err1, err2); err != nil {
			return failed(wire.CodeBadArgument, err.Error())
		}
		doc, err := e.Dir.Credential(kind, key)
		if err != nil {
			return failed(wire.CodeBadArgument, err.Error())
		}
		if doc != nil {
			return wire.Answer{Value: doc.Doc}
		}
		return wire.Answer{}
	}
	return failed(wire.CodeHostError, "this host does not know the question")
}

func failed(code, message string) wire.Answer {
	return wire.Answer{Err: &wire.Error{Code: code, Message: message}}
}

func bytesAnswer(b []byte, err error) wire.Answer {
	if err == nil {
		return wire.Answer{Bytes: b, IsBytes: true}
	}
	var we *wire.Error
	if errors.As(err, &we) {
		return wire.Answer{Err: we}
	}
	return failed(wire.CodeHostError, err.Error())
}

func valueAnswer(v any) wire.Answer {
	raw, err := wire.AppendValue(nil, v)
	if err != nil {
		return failed(wire.CodeHostError, err.Error())
	}
	return wire.Answer{Value: raw}
}

func stringArg(a *wire.Ask, i int) (string, error) {
	v, err := arg(a, i)
	if err != nil {
		return "", err
	}
	switch s := v.(type) {
	case string:
		return s, nil
	case []byte:
		return string(s), nil
	}
	return "", errors.New("expected text")
}

func boolArg(a *wire.Ask, i int) (bool, error) {
	v, err := arg(a, i)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, errors.New("expected a boolean")
	}
	return b, nil
}

func arg(a *wire.Ask, i int) (any, error) {
	if i >= len(a.Args) {
		return nil, errors.New("argument is missing")
	}
	return wire.DecodeValue(a.Args[i])
}
