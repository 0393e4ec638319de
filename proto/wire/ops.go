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
	OpCtxPluginSet                  OpCode = 51 // Name: the key, Value (nil: remove)
	OpLogSetSerializeValue          OpCode = 60 // Name: the key, Value, Mode
)

// Generic operations: Value is one array of the arguments.
const (
	OpClientSetAuthenticatedConsumerGroups OpCode = 41 // [[[id, name], ...], mode]
	OpClientTLSSetClientVerify             OpCode = 42 // [result]
	OpServiceSetUpstream                   OpCode = 70 // [name]
	OpServiceSetTarget                     OpCode = 71 // [host, port]
	OpServiceSetRetries                    OpCode = 72 // [retries]
	OpServiceSetTimeouts                   OpCode = 73 // [connect, write, read], milliseconds
	OpServiceSetFallbackTargets            OpCode = 74 // [[target, ...]]
	OpServiceSetTLSVerify                  OpCode = 75 // [verify]
	OpServiceSetTLSVerifyDepth             OpCode = 76 // [depth]
	OpServiceSetTLSCertKey                 OpCode = 77 // [certificates, key], PEM
	OpServiceSetTLSVerifyStore             OpCode = 78 // [certificates], PEM
	OpTracingStartSpan                     OpCode = 90 // [span], a map
	OpTelemetryLog                         OpCode = 91 // [plugin_name, config, message_type, message, attributes or nil]
	OpCacheSet                             OpCode = 92 // [key, value, ttl in seconds]
	OpCacheDelete                          OpCode = 93 // [key]
)

// genericFrom is the first of the codes that are all generic.
const genericFrom = 70

// Generic reports whether an operation carries one free value, the array of its arguments, instead of fields of its own. So does every
// code from 70 on, also one that this version does not know.
func (c OpCode) Generic() bool {
	return c >= genericFrom || c == OpClientSetAuthenticatedConsumerGroups || c == OpClientTLSSetClientVerify
}

// Functions of ask; docs/wire.md section 7.
const (
	AskRequestGetRawBody         AskFn = 1
	AskServiceResponseGetRawBody AskFn = 2
	AskLogSerialize              AskFn = 3
	AskClientLoadConsumer        AskFn = 4
	AskClientLoadCredential      AskFn = 5

	AskClientAuthenticateConsumerGroupByConsumerID AskFn = 6
	AskServiceSetUpstream                          AskFn = 7
	AskClientTLSGetFullClientCertificateChain      AskFn = 8
	AskNodeGetMemoryStats                          AskFn = 9
	AskNodeGetConfiguration                        AskFn = 10
	AskNginxGetStatistics                          AskFn = 11
	AskNginxGetVar                                 AskFn = 12
	AskVaultGet                                    AskFn = 13
	AskVaultUpdate                                 AskFn = 14
	AskCacheGet                                    AskFn = 15
	AskResponseGetRawBody                          AskFn = 16
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
