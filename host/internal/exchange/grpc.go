package exchange

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

const grpcType = "application/grpc"

// maxGRPCMessage bounds the text of grpc-message, in bytes before they are escaped: clients refuse heads that are too large.
const maxGRPCMessage = 4 << 10

// IsGRPC reports whether a content type is that of gRPC. gRPC-Web is not: its clients read HTTP.
func IsGRPC(contentType string) bool {
	if len(contentType) < len(grpcType) || !strings.EqualFold(contentType[:len(grpcType)], grpcType) {
		return false
	}
	rest := contentType[len(grpcType):]
	return rest == "" || strings.IndexByte("+; \t", rest[0]) >= 0
}

// ForGRPC turns an answer to a gRPC request into one that a gRPC client understands: the HTTP status stays, grpc-status is made from it, unless the
// answer has one, and grpc-message from its message, from a body that is text, or from the field message of a JSON object (spec/pdk.md 2.9), of which
// the first 4 KiB are sent; an error without a message has the name of its grpc-status. A body of an explicit gRPC content type stays; another one goes.
func (a *Answer) ForGRPC() {
	contentType := ""
	for _, h := range a.Headers {
		if strings.EqualFold(h.Name, "Content-Type") {
			contentType = h.Value
		}
	}
	message, status := a.Message, grpcStatus(a.Status)
	switch {
	case a.Formatted && !a.HasMessage:
		message = grpcNames[status]
	case !a.Formatted && IsGRPC(contentType):
		message = ""
	case !a.Formatted:
		message = messageOf(contentType, a.Body)
	}
	if !IsGRPC(contentType) {
		a.Headers = RemoveHeader(a.Headers, "Content-Type")
		a.Headers = append(a.Headers, wire.Header{Name: "Content-Type", Value: grpcType})
		a.Body, a.HasBody = nil, false
		a.Headers = RemoveHeader(a.Headers, "Content-Length")
	}
	if !hasHeader(a.Headers, "grpc-status") {
		a.Headers = append(RemoveHeader(a.Headers, "grpc-message"), wire.Header{Name: "grpc-status", Value: strconv.Itoa(status)})
		if message != "" {
			a.Headers = append(a.Headers, wire.Header{Name: "grpc-message", Value: escapeMessage(cutMessage(message))})
		}
	}
	a.Formatted, a.Message, a.HasMessage = false, "", false
}

func messageOf(contentType string, body []byte) string {
	if strings.HasPrefix(strings.ToLower(contentType), "application/json") {
		var object struct{ Message any }
		if json.Unmarshal(body, &object) == nil {
			if text, ok := object.Message.(string); ok {
				return text
			}
		}
	}
	return string(body)
}

// grpcStatus is Kong's table of the codes of gRPC; for statuses that are not in it their class decides.
func grpcStatus(status int) int {
	switch status {
	case 400:
		return 3
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 5
	case 409:
		return 6
	case 429:
		return 8
	case 499:
		return 1
	case 500:
		return 13
	case 501:
		return 12
	case 503:
		return 14
	case 504:
		return 4
	}
	switch status / 100 {
	case 2:
		return 0
	case 4:
		return 3
	case 5:
		return 13
	}
	return 2
}

// grpcNames are the names of the codes of gRPC.
var grpcNames = [...]string{
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted",
	"FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
}

// cutMessage is the beginning of a message, up to the last whole character that fits. Where it is no UTF-8, every byte is a character.
func cutMessage(message string) string {
	if len(message) <= maxGRPCMessage {
		return message
	}
	end := maxGRPCMessage
	for back := range utf8.UTFMax {
		if start := maxGRPCMessage - back; utf8.RuneStart(message[start]) {
			if _, size := utf8.DecodeRuneInString(message[start:]); size > back {
				end = start
			}
			break
		}
	}
	return message[:end]
}

// escapeMessage percent-encodes what grpc-message may not hold: bytes outside the printable ASCII characters, and the percent sign.
func escapeMessage(message string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(message) {
		if c := message[i]; c < ' ' || c > '~' || c == '%' {
			b.WriteString("%" + hexDigits[c>>4:c>>4+1] + hexDigits[c&15:c&15+1])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
