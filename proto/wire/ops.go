package wire

// Operation codes; docs/wire.md section 6. Which fields of Op they use is said behind each.
const (
	OpServiceRequestSetHeader       OpCode = 1  // Name, Values (none: remove)
	OpServiceRequestAddHeader       OpCode = 2  // Name, Values
	OpServiceRequestClearHeader     OpCode = 3  // Name
	OpServiceRequestSetMethod       OpCode = 4  // Name: the method
	OpServiceRequestSetPath         OpCode = 5  // Name: the path
	OpServiceRequestSetRawQuery     OpCode = 6  // Name: the query
	OpServiceRequestSetRawBody      OpCode = 7  // Body
	OpServiceRequestEnableBuffering OpCode = 8  // nothing
	OpServiceRequestSetScheme       OpCode = 9  // Name: the scheme
	OpResponseSetStatus             OpCode = 20 // Status
	OpResponseSetHeader             OpCode = 21 // Name, Values (none: remove)
	OpResponseAddHeader             OpCode = 22 // Name, Values
	OpResponseClearHeader           OpCode = 23 // Name
	OpResponseSetRawBody            OpCode = 24 // Body
	OpResponseExit                  OpCode = 25 // Status, Body if HasBody, Headers
	OpResponseError                 OpCode = 26 // Status, Name: the message if HasBody, Headers
	OpClientAuthenticate            OpCode = 40 // Value: consumer or nil, Credential or nil
	OpCtxSharedSet                  OpCode = 50 // Name: the key, Value (nil: remove)
	OpLogSetSerializeValue          OpCode = 60 // Name: the key, Value, Mode
)

// Functions of ask; docs/wire.md section 7.
const (
	AskRequestGetRawBody         AskFn = 1
	AskServiceResponseGetRawBody AskFn = 2
	AskLogSerialize              AskFn = 3
	AskClientLoadConsumer        AskFn = 4
	AskClientLoadCredential      AskFn = 5
)

// Limits on what one message may hold, so that a small frame cannot claim a large amount of memory.
const (
	// MaxOps is the largest number of operations in one outcome.
	MaxOps = 8192
	// MaxItems is the largest number of array elements that one message may spread over: headers, values, captures, shared
	// values, arguments.
	MaxItems = 1 << 17
	// MaxDepth is the deepest nesting of a free value.
	MaxDepth = 64
	// MaxAsks and MaxAskBytes bound the asks of one call that wait for their answers, the latter their bodies.
	MaxAsks     = 256
	MaxAskBytes = 1 << 20
)
