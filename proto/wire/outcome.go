package wire

import "math"

// AppendOutcome appends the body of an outcome. Bodies over ChunkSize are named only by their length: the sender sends what
// AppendLargeOfOutcome returns as chunks first. Operations of a failed outcome are left out.
func AppendOutcome(dst []byte, o *Outcome) []byte {
	fields := 4
	if o.Unused != 0 {
		fields = 5
	}
	dst = appendArray(dst, fields)
	if o.Err != nil {
		dst = appendUint(dst, 1)
		dst = appendArray(dst, 3)
		dst = appendStr(dst, o.Err.Code)
		dst = appendStr(dst, o.Err.Message)
		dst = appendStr(dst, o.Err.Detail)
		dst = appendArray(dst, 0)
		return appendUnused(appendNil(dst), o)
	}
	dst = appendUint(dst, 0)
	dst = appendNil(dst)
	dst = appendArray(dst, len(o.Ops))
	for i := range o.Ops {
		dst = appendOp(dst, &o.Ops[i])
	}
	return appendUnused(appendOptBody(dst, o.Body, o.HasBody), o)
}

func appendUnused(dst []byte, o *Outcome) []byte {
	if o.Unused == 0 {
		return dst
	}
	return appendUint(dst, uint64(o.Unused))
}

// AppendLargeOfOutcome appends the bodies of o that travel as chunks, in the order in which they must be sent.
func AppendLargeOfOutcome(dst [][]byte, o *Outcome) [][]byte {
	if o.Err != nil {
		return dst
	}
	for i := range o.Ops {
		switch op := &o.Ops[i]; op.Code {
		case OpServiceRequestSetRawBody, OpResponseSetRawBody:
			dst = appendLarge(dst, op.Body, true)
		case OpResponseExit:
			dst = appendLarge(dst, op.Body, op.HasBody)
		}
	}
	return appendLarge(dst, o.Body, o.HasBody)
}

func appendOp(dst []byte, op *Op) []byte {
	switch op.Code {
	case OpServiceRequestSetHeader, OpServiceRequestAddHeader, OpResponseSetHeader, OpResponseAddHeader:
		dst = appendOpHead(dst, op, 2)
		dst = appendStr(dst, op.Name)
		return appendBins(dst, op.Values)
	case OpServiceRequestClearHeader, OpResponseClearHeader, OpServiceRequestSetMethod, OpServiceRequestSetScheme:
		dst = appendOpHead(dst, op, 1)
		return appendStr(dst, op.Name)
	case OpServiceRequestSetPath, OpServiceRequestSetRawQuery:
		dst = appendOpHead(dst, op, 1)
		return appendBinStr(dst, op.Name)
	case OpServiceRequestSetRawBody, OpResponseSetRawBody:
		dst = appendOpHead(dst, op, 1)
		return appendBody(dst, op.Body)
	case OpResponseSetStatus:
		dst = appendOpHead(dst, op, 1)
		return appendUint(dst, uint64(max(op.Status, 0)))
	case OpResponseExit:
		dst = appendOpHead(dst, op, 3)
		dst = appendUint(dst, uint64(max(op.Status, 0)))
		dst = appendOptBody(dst, op.Body, op.HasBody)
		return appendGiven(dst, op.Headers)
	case OpResponseError:
		dst = appendOpHead(dst, op, 3)
		dst = appendUint(dst, uint64(max(op.Status, 0)))
		if op.HasBody {
			dst = appendBinStr(dst, op.Name)
		} else {
			dst = appendNil(dst)
		}
		return appendGiven(dst, op.Headers)
	case OpClientAuthenticate:
		dst = appendOpHead(dst, op, 2)
		dst = appendRaw(dst, op.Value)
		return appendRaw(dst, op.Credential)
	case OpCtxSharedSet, OpCtxPluginSet:
		dst = appendOpHead(dst, op, 2)
		dst = appendStr(dst, op.Name)
		return appendRaw(dst, op.Value)
	case OpLogSetSerializeValue:
		dst = appendOpHead(dst, op, 3)
		dst = appendStr(dst, op.Name)
		dst = appendRaw(dst, op.Value)
		return appendStr(dst, op.Mode)
	}
	if op.Code.Generic() {
		return appendRaw(appendOpHead(dst, op, 1), op.Value)
	}
	return appendOpHead(dst, op, 0) // enable_buffering, and codes that this version does not know
}

func appendOpHead(dst []byte, op *Op, args int) []byte {
	return appendUint(appendArray(dst, 1+args), uint64(op.Code))
}

// DecodeOutcome reads the body of an outcome. Everything that o held is replaced; only the memory of o.Ops itself is used again,
// what an Op points to is never. Strings and bytes are views of body and bulk, which must not change any more. Bulk is what was
// gathered from the chunks of the call. An operation with an unknown code below 70 keeps its code and loses its arguments.
// An error makes a failed outcome, whatever the status says: who contradicts himself must not be let through.
func DecodeOutcome(body, bulk []byte, o *Outcome) error {
	_, err := DecodeOutcomeInto(body, bulk, o, nil)
	return err
}

// Memory for the values of operations: so much is made at once, and so much is left at most for later outcomes. Whoever keeps one value
// keeps all of it.
const (
	madeValues = 8
	leftValues = 32
)

// DecodeOutcomeInto is DecodeOutcome for a reader of many outcomes: it takes the memory for the values of operations from room, and gives back what it has not
// used, for the next one. What it has used it never gives again.
func DecodeOutcomeInto(body, bulk []byte, o *Outcome, room []string) (left []string, err error) {
	ops := o.Ops[:0]
	*o = Outcome{}
	d := newDecoder("outcome", body, bulk)
	a := d.array()
	failed := false
	if a.more() {
		failed = d.uintTo(1) == 1
	}
	if a.more() {
		o.Err = d.error()
	}
	if a.more() {
		f := d.array()
		if f > MaxOps {
			d.fail("%d operations, at most %d are allowed", f, MaxOps)
		}
		strs := room[:0]
		for f.more() && d.err == nil {
			ops = append(ops, Op{})
			strs = d.op(&ops[len(ops)-1], strs)
		}
		if room = strs[len(strs):]; cap(room) > leftValues {
			room = nil
		}
	}
	if a.more() {
		o.Body, o.HasBody = d.bin()
	}
	if a.more() {
		o.Unused = uint32(d.uintTo(math.MaxUint32))
	}
	d.rest(a)
	if err := d.done(); err != nil {
		clear(ops)
		*o = Outcome{Ops: ops[:0]}
		return room, err
	}
	o.Ops = ops
	if failed && o.Err == nil {
		o.Err = &Error{Code: CodeHandlerError, Message: "the handler failed and did not say how"}
	}
	if o.Err != nil {
		o.Ops, o.Body, o.HasBody = ops[:0], nil, false
	}
	return room, nil
}

func (d *decoder) op(op *Op, strs []string) []string {
	a := d.array()
	if !a.more() {
		d.fail("an operation without a code")
		return strs
	}
	op.Code = OpCode(d.uintTo(math.MaxUint16))
	switch op.Code {
	case OpServiceRequestSetHeader, OpServiceRequestAddHeader, OpResponseSetHeader, OpResponseAddHeader:
		if a.more() {
			op.Name = d.str()
		}
		if a.more() {
			if cap(strs)-len(strs) < madeValues/4 {
				strs = make([]string, 0, madeValues)
			}
			start := len(strs)
			strs = d.strs(strs)
			op.Values = strs[start:len(strs):len(strs)]
		}
	case OpServiceRequestClearHeader, OpResponseClearHeader, OpServiceRequestSetMethod, OpServiceRequestSetScheme,
		OpServiceRequestSetPath, OpServiceRequestSetRawQuery:
		if a.more() {
			op.Name = d.str()
		}
	case OpServiceRequestSetRawBody, OpResponseSetRawBody:
		op.HasBody = true
		if a.more() {
			op.Body, _ = d.bin()
		}
	case OpResponseSetStatus:
		if a.more() {
			op.Status = int(d.uintTo(math.MaxInt32))
		}
	case OpResponseExit:
		if a.more() {
			op.Status = int(d.uintTo(math.MaxInt32))
		}
		if a.more() {
			op.Body, op.HasBody = d.bin()
		}
		if a.more() {
			op.Headers = d.headers(nil)
		}
	case OpResponseError:
		if a.more() {
			op.Status = int(d.uintTo(math.MaxInt32))
		}
		if a.more() {
			op.Name, op.HasBody = d.optStr()
		}
		if a.more() {
			op.Headers = d.headers(nil)
		}
	case OpClientAuthenticate:
		if a.more() {
			op.Value = d.rawMap()
		}
		if a.more() {
			op.Credential = d.rawMap()
		}
	case OpCtxSharedSet, OpCtxPluginSet, OpLogSetSerializeValue:
		if a.more() {
			op.Name = d.str()
		}
		if a.more() {
			op.Value = d.raw()
		}
		if a.more() {
			op.Mode = d.str()
		}
	default:
		if op.Code.Generic() && a.more() {
			op.Value = d.rawArray()
		}
	}
	d.rest(a)
	return strs
}

// error reads [code, message, detail]; nil for nil.
func (d *decoder) error() *Error {
	if d.null() {
		return nil
	}
	e := new(Error)
	a := d.array()
	if a.more() {
		e.Code = d.str()
	}
	if a.more() {
		e.Message = d.str()
	}
	if a.more() {
		e.Detail = d.str()
	}
	d.rest(a)
	return e
}
