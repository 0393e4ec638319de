package tracing

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// mostText bounds every text of a span, in bytes: paths, errors and what plugins trace may be long, and many spans wait for the collector.
const mostText = 1 << 10

// clean is a text as a collector takes it: short, and UTF-8. What clients and plugins send need be neither, and one text that is not UTF-8 would
// cost the whole batch.
func clean(s string) string {
	if len(s) > mostText {
		s = strings.Clone(s[:mostText])
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// text is an attribute with a clean value.
func text(key, value string) attribute.KeyValue { return attribute.String(key, clean(value)) }
