// Package top shows what a running gateway does, as a table: servers and their processes, then plugins. It reads /status and /metrics of the Admin
// or status listener.
//
//	sample.go  what the gateway says at one time
//	rates.go   what happened between two samples
//	table.go   the table as text
//	screen.go  the table on a terminal, refreshed in place
package top

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/outrigger-gateway/outrigger/host/internal/admin"
)

// Sample is what a gateway says at one time.
type Sample struct {
	At     time.Time
	Status admin.Status
	// metrics by name.
	metrics map[string]*dto.MetricFamily
}

// Source asks a gateway.
type Source struct {
	Client  *http.Client
	Address string // for messages
}

// Sample asks for both pages.
func (s *Source) Sample(ctx context.Context) (*Sample, error) {
	sample := &Sample{At: time.Now()}
	err := s.read(ctx, "/status", func(body io.Reader) error { return json.NewDecoder(body).Decode(&sample.Status) })
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, "/metrics", func(body io.Reader) (err error) {
		sample.metrics, err = parse(body)
		return err
	})
	return sample, err
}

func parse(text io.Reader) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(text)
}

func (s *Source) read(ctx context.Context, path string, decode func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return err
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the gateway at %s: %w", s.Address, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("found status %d for %s at %s, expected the Admin or status listener of a gateway", resp.StatusCode, path, s.Address)
	}
	if err := decode(resp.Body); err != nil {
		return fmt.Errorf("reading %s of %s: %w", path, s.Address, err)
	}
	return nil
}
