package host

// Version of the gateway.
const Version = "0.1.0"
