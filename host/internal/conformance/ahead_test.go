package conformance

import (
	"bytes"
	"testing"
)

// Every vector that asks is the same with the answers ahead of its questions, alone and as the second step of a call.
func TestAnswersAhead(t *testing.T) {
	for name, fused := range map[string]bool{"alone": false, "fused": true} {
		t.Run(name, func(t *testing.T) {
			s := &Suite{types: suite.types}
			for _, v := range suite.Vectors {
				if len(v.Asks) > 0 {
					s.Vectors = append(s.Vectors, v)
				}
			}
			for _, impl := range suite.implementations {
				if r, ok := impl.(*remote); ok {
					own := &remote{
						column: r.column, plugin: r.plugin, carrier: r.carrier, isTyped: r.isTyped, server: r.server, reports: r.reports,
						fused: fused, asked: true, lanes: map[string]*side{},
					}
					t.Cleanup(own.close)
					s.implementations = append(s.implementations, own)
				}
			}
			table, err := s.Run(t.Context(), 4)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Vectors) < 50 || table.Failed > 0 {
				var text bytes.Buffer
				_ = table.Write(&text)
				t.Errorf("%d vectors:\n%s", len(s.Vectors), &text)
			}
		})
	}
}
