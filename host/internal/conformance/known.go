package conformance

import (
	"encoding/json"
	"fmt"
	"os"
)

// Difference is a vector that is known to fail on an implementation. The list is to be empty; an entry whose vector passes is a failure.
type Difference struct {
	Implementation string `json:"implementation"` // name of the column
	Vector         string `json:"vector"`         // file and name
	Why            string `json:"why"`
}

// ReadKnown reads the file of the known differences.
func ReadKnown(path string) ([]Difference, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the known differences: %w", err)
	}
	var list []Difference
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("reading the known differences: %s: %w", path, err)
	}
	for _, d := range list {
		if d.Implementation == "" || d.Vector == "" || d.Why == "" {
			return nil, fmt.Errorf("reading the known differences: %s: %+v: implementation, vector and why are required", path, d)
		}
	}
	return list, nil
}
