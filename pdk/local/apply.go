package local

import (
	"errors"
	"fmt"
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Check repeats for one operation every check that the PDK made when it was recorded, and brings the operation into the form in which it is
// applied: paths escaped, blanks around header values removed, "_" in names of response headers replaced, Transfer-Encoding left out. The
// phase and the size of bodies and of ctx.shared are the caller's business.
func Check(op *wire.Op) error {
	if err := check(op); err != nil {
		name := fmt.Sprintf("operation %d", op.Code)
		if fn := pdk.FunctionOfOp(uint16(op.Code)); fn != nil {
			name = fn.Name
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func check(op *wire.Op) error {
	switch uint16(op.Code) {
	case pdk.OpServiceRequestSetHeader, pdk.OpServiceRequestAddHeader:
		return checkLines(op.Name, op.Values)
	case pdk.OpServiceRequestClearHeader, pdk.OpResponseClearHeader:
		return CheckHeaderName(op.Name)
	case pdk.OpServiceRequestSetMethod:
		return CheckMethod(op.Name)
	case pdk.OpServiceRequestSetScheme:
		return CheckScheme(op.Name)
	case pdk.OpServiceRequestSetPath:
		path, err := EscapePath(op.Name)
		op.Name = path
		return err
	case pdk.OpServiceRequestSetRawQuery:
		return CheckRawQuery(op.Name)
	case pdk.OpResponseSetStatus:
		return checkStatus(op.Status, 100)
	case pdk.OpResponseSetHeader, pdk.OpResponseAddHeader:
		op.Name = responseName(op.Name)
		return checkLines(op.Name, op.Values)
	case pdk.OpResponseExit:
		if err := checkStatus(op.Status, 100); err != nil {
			return err
		}
		return checkHeaders(op)
	case pdk.OpResponseError:
		if err := checkStatus(op.Status, 400); err != nil {
			return err
		}
		return checkHeaders(op)
	case pdk.OpClientAuthenticate:
		if op.Value == nil && op.Credential == nil {
			return errNobody
		}
	case pdk.OpCtxSharedSet, pdk.OpCtxPluginSet:
		return checkValue(op.Value)
	case pdk.OpLogSetSerializeValue:
		if err := checkValue(op.Value); err != nil {
			return err
		}
		if op.Mode == "" {
			op.Mode = modeSet
		}
		return checkSerialize(op.Name, op.Mode)
	case pdk.OpServiceRequestSetRawBody, pdk.OpServiceRequestEnableBuffering, pdk.OpResponseSetRawBody:
	default:
		return checkGeneric(op)
	}
	return nil
}

// checkGeneric checks an operation whose arguments are one array.
func checkGeneric(op *wire.Op) (err error) {
	switch op.Code {
	case wire.OpClientSetAuthenticatedConsumerGroups:
		_, _, err = groupsOfOp(op)
	case wire.OpClientTLSSetClientVerify:
		_, err = verifyOfOp(op)
	case wire.OpServiceSetUpstream:
		_, err = UpstreamOf(op)
	case wire.OpServiceSetTarget:
		_, _, err = TargetOf(op)
	case wire.OpServiceSetRetries:
		_, err = RetriesOf(op)
	case wire.OpServiceSetTimeouts:
		_, _, _, err = TimeoutsOf(op)
	case wire.OpServiceSetFallbackTargets:
		_, err = FallbackTargetsOf(op)
	case wire.OpServiceSetTLSVerify:
		_, err = TLSVerifyOf(op)
	case wire.OpServiceSetTLSVerifyDepth:
		_, err = TLSVerifyDepthOf(op)
	case wire.OpServiceSetTLSCertKey:
		_, _, err = TLSCertKeyOf(op)
	case wire.OpServiceSetTLSVerifyStore:
		_, err = TLSVerifyStoreOf(op)
	case wire.OpTracingStartSpan:
		_, _, _, err = SpanOf(op)
	case wire.OpTelemetryLog:
		_, err = TelemetryOf(op)
	case wire.OpCacheSet:
		_, _, _, err = CacheSetOf(op)
	case wire.OpCacheDelete:
		_, err = CacheDeleteOf(op)
	default:
		err = errors.New("it does not exist")
	}
	return err
}

// checkValue refuses what another plugin could not decode.
func checkValue(value []byte) error {
	if isNil(value) {
		return nil
	}
	_, err := wire.DecodeValue(value)
	return err
}

var errNobody = errors.New("consumer and credential are both null")

func checkStatus(status, lowest int) error {
	if status < lowest || status > 599 {
		return fmt.Errorf("status is %d; expected %d to 599", status, lowest)
	}
	return nil
}

// checkLines checks one header and trims its values in place.
func checkLines(name string, values []string) error {
	if err := CheckHeaderName(name); err != nil {
		return err
	}
	for i, v := range values {
		v = TrimValue(v)
		if err := CheckHeaderValue(name, v); err != nil {
			return err
		}
		if len(v) != len(values[i]) {
			values[i] = v
		}
	}
	return nil
}

// checkHeaders checks the headers of an exit or error in place.
func checkHeaders(op *wire.Op) error {
	for i := range op.Headers {
		h := &op.Headers[i]
		h.Name, h.Value = responseName(h.Name), TrimValue(h.Value)
		if err := CheckHeaderName(h.Name); err != nil {
			return err
		}
		if err := CheckHeaderValue(h.Name, h.Value); err != nil {
			return err
		}
	}
	op.Headers = slices.DeleteFunc(op.Headers, func(h wire.Header) bool { return SameHeader(h.Name, transferEncoding) })
	return nil
}

const transferEncoding = "transfer-encoding"

// Apply checks an operation and applies it when what it changes lives on the facts: request headers, method and query, ctx.shared, consumer
// groups, the result of verifying the client, status and headers of the response. Header lists are changed in place, unless the two responses
// share one. handled is false for what the host has to apply: path, scheme, bodies, buffering, exit, error, authenticate, ctx.plugin (SetShared
// does it), log.set_serialize_value, and the generic operations of service, tracing, telemetry and cache, which UpstreamOf, TargetOf, RetriesOf,
// TimeoutsOf, FallbackTargetsOf, TLSVerifyOf, TLSVerifyDepthOf, TLSCertKeyOf, TLSVerifyStoreOf, SpanOf, TelemetryOf, CacheSetOf and CacheDeleteOf read.
//
// As long as there is no response, response headers gather in f.Response.
func Apply(f *wire.Facts, op *wire.Op) (handled bool, err error) {
	if err := Check(op); err != nil {
		return false, err
	}
	return ApplyChecked(f, op)
}

// ApplyChecked is Apply for an operation that Check has let pass and brought into its form: a host checks all of a handler before it applies any.
func ApplyChecked(f *wire.Facts, op *wire.Op) (handled bool, err error) {
	req, resp := &f.Request, &f.Response
	switch uint16(op.Code) {
	case pdk.OpServiceRequestSetHeader:
		req.Headers = setRequestHeader(req.Headers, op.Name, op.Values)
	case pdk.OpServiceRequestAddHeader:
		req.Headers = addRequestHeader(req.Headers, op.Name, op.Values)
	case pdk.OpServiceRequestClearHeader:
		req.Headers = clearHeader(req.Headers, op.Name)
	case pdk.OpServiceRequestSetMethod:
		req.Method = op.Name
	case pdk.OpServiceRequestSetRawQuery:
		req.RawQuery = op.Name
	case pdk.OpResponseSetStatus:
		resp.Status = op.Status
	case pdk.OpResponseSetHeader:
		if !SameHeader(op.Name, transferEncoding) {
			resp.Headers = setHeader(ownHeaders(f), op.Name, op.Values)
		}
	case pdk.OpResponseAddHeader:
		if !SameHeader(op.Name, transferEncoding) {
			resp.Headers = addHeader(ownHeaders(f), op.Name, op.Values)
		}
	case pdk.OpResponseClearHeader:
		resp.Headers = clearHeader(ownHeaders(f), op.Name)
	case pdk.OpClientSetAuthenticatedConsumerGroups:
		groups, mode, err := groupsOfOp(op)
		if err != nil {
			return false, err
		}
		f.Groups = withGroups(f.Groups, groups, mode)
	case pdk.OpClientTLSSetClientVerify:
		if f.TLS.ClientVerify, err = verifyOfOp(op); err != nil {
			return false, err
		}
	case pdk.OpCtxSharedSet:
		f.Shared = SetShared(f.Shared, op.Name, op.Value)
	default:
		return false, nil
	}
	return true, nil
}

// ownHeaders are the response's headers, parted from the upstream's when both are one list.
func ownHeaders(f *wire.Facts) []wire.Header {
	a, b := f.Response.Headers, f.ServiceResponse.Headers
	if cap(a) > 0 && cap(b) > 0 && &a[:1][0] == &b[:1][0] {
		return append(make([]wire.Header, 0, len(a)+4), a...)
	}
	return a
}
