package exchange

import (
	"reflect"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func TestIsGRPC(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/grpc": true, "Application/GRPC+proto": true, "application/grpc; charset=x": true, "application/grpc+json": true,
		"application/grpc-web": false, "application/grpc-web+proto": false, "application/grpcx": false, "application/json": false, "": false,
	} {
		if IsGRPC(contentType) != want {
			t.Errorf("%q: %t", contentType, !want)
		}
	}
}

// Exits and errors of plugins on a gRPC request become what a gRPC client reads.
func TestAnswersToGRPC(t *testing.T) {
	headers := func(pairs ...string) []wire.Header {
		var hs []wire.Header
		for i := 0; i < len(pairs); i += 2 {
			hs = append(hs, wire.Header{Name: pairs[i], Value: pairs[i+1]})
		}
		return hs
	}
	exit := func(status int, body string, hs ...string) wire.Op {
		return wire.Op{Code: pdk.OpResponseExit, Status: status, Body: []byte(body), HasBody: body != "", Headers: headers(hs...)}
	}
	for _, c := range []struct {
		name string
		op   wire.Op
		want []wire.Header
		body string
	}{
		{"text", exit(401, "no"), headers("Content-Type", "application/grpc", "grpc-status", "16", "grpc-message", "no"), ""},
		{"JSON", exit(403, `{"message":"not yours"}`, "Content-Type", "application/json; charset=utf-8", "X-A", "1"),
			headers("X-A", "1", "Content-Type", "application/grpc", "grpc-status", "7", "grpc-message", "not yours"), ""},
		{"JSON without a message", exit(404, `{"a":1}`, "content-type", "application/json"),
			headers("Content-Type", "application/grpc", "grpc-status", "5", "grpc-message", `{"a":1}`), ""},
		{"no body", exit(503, "", "Content-Length", "0"), headers("Content-Type", "application/grpc", "grpc-status", "14"), ""},
		{"fine", exit(200, ""), headers("Content-Type", "application/grpc", "grpc-status", "0"), ""},
		{"a status that is not in the table", exit(418, "tea"), headers("Content-Type", "application/grpc", "grpc-status", "3", "grpc-message", "tea"), ""},
		{"own gRPC body", exit(200, "\x00\x00\x00\x00\x00", "Content-Type", "application/grpc+proto"),
			headers("Content-Type", "application/grpc+proto", "grpc-status", "0"), "\x00\x00\x00\x00\x00"},
		{"bytes in the message", exit(400, "50% ü\n"), headers("Content-Type", "application/grpc", "grpc-status", "3", "grpc-message", "50%25 %C3%BC%0A"), ""},
		{"error", wire.Op{Code: pdk.OpResponseError, Status: 429, Name: "slow down", HasBody: true},
			headers("Content-Type", "application/grpc", "grpc-status", "8", "grpc-message", "slow down"), ""},
		{"error without a message", wire.Op{Code: pdk.OpResponseError, Status: 504},
			headers("Content-Type", "application/grpc", "grpc-status", "4", "grpc-message", "DeadlineExceeded"), ""},
		{"a status of its own", exit(200, "", "Grpc-Status", "1", "grpc-message", "gRPC request matched gRPCs route"),
			headers("Grpc-Status", "1", "grpc-message", "gRPC request matched gRPCs route", "Content-Type", "application/grpc"), ""},
	} {
		e, _ := begin()
		e.Facts.Request.Headers = headers("Content-Type", "application/grpc")
		if err := e.Apply(access, []wire.Op{c.op}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		e.Answer.ForGRPC()
		e.Answered()
		if got := e.Facts.Response; got.Status != c.op.Status || !reflect.DeepEqual(got.Headers, c.want) || string(e.Answer.Body) != c.body || e.Answer.Formatted {
			t.Errorf("%s: %+v, body %q, want %v", c.name, got, e.Answer.Body, c.want)
		}
	}
	for status, want := range map[int]int{200: 0, 204: 0, 100: 2, 302: 2, 400: 3, 401: 16, 402: 3, 403: 7, 404: 5, 409: 6, 418: 3, 429: 8, 499: 1, 500: 13, 501: 12, 502: 13, 503: 14, 504: 4} {
		if got := grpcStatus(status); got != want {
			t.Errorf("status %d gives %d, want %d", status, got, want)
		}
	}
}

// A message is cut at 4 KiB of its text, which is then escaped, between two characters.
func TestGRPCMessageIsCut(t *testing.T) {
	x := strings.Repeat("x", maxGRPCMessage)
	for _, c := range []struct{ name, message, want string }{
		{"fits", x, x},
		{"longer", x + "yz", x},
		{"a character of two bytes over the end", x[1:] + "ü", x[1:]},
		{"a character of four bytes over the end", x[3:] + "\U0001f600z", x[3:]},
		{"a character that ends at the end", x[2:] + "üz", x[2:] + "%C3%BC"},
		{"escapes do not count", strings.Repeat("%", maxGRPCMessage+1), strings.Repeat("%25", maxGRPCMessage)},
		{"no UTF-8", x[2:] + "\xff\x80\x80\x80\x80\x80", x[2:] + "%FF%80"},
	} {
		a := Answer{Given: true, Status: 400, Body: []byte(c.message), HasBody: true}
		a.ForGRPC()
		if got := a.Headers[len(a.Headers)-1]; got.Name != "grpc-message" || got.Value != c.want {
			t.Errorf("%s: %d bytes of %s end with %q, want %d ending with %q", c.name, len(got.Value), got.Name, got.Value[max(0, len(got.Value)-12):],
				len(c.want), c.want[max(0, len(c.want)-12):])
		}
	}
}
