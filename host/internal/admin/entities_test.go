package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entitydiff"
)

// differ answers with what it was asked.
type differ struct {
	Gateway
	name, document string
	err            error
}

func (g *differ) DiffEntities(name string, document []byte, _ bool) (*entitydiff.Diff, error) {
	g.name, g.document = name, string(document)
	return &entitydiff.Diff{Differs: true, Added: 1, Changes: []entitydiff.Change{{Change: "added", Collection: "routes", Name: "r"}}}, g.err
}

func TestDiff(t *testing.T) {
	g := &differ{Gateway: &fakeGateway{}}
	client := served(t, g, "127.0.0.1:0")
	post := func(target, body string) (int, map[string]any) {
		t.Helper()
		resp, err := client.Post("http://localhost"+target, "application/yaml", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer := map[string]any{}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, answer
	}
	large := strings.Repeat("# a comment\n", 20000) // more than other requests may hold
	status, body := post("/config/diff?name=new.yaml", large)
	if status != 200 || body["differs"] != true || body["changes"].([]any)[0].(map[string]any)["name"] != "r" || g.name != "new.yaml" || g.document != large {
		t.Errorf("found %d, %v, asked for %s with %d bytes", status, body, g.name, len(g.document))
	}
	g.err = errors.New("config document:1:1: found nothing")
	if status, body := post("/config/diff", "x"); status != http.StatusUnprocessableEntity || body["message"] != g.err.Error() || g.name != "document" {
		t.Errorf("found %d, %v", status, body)
	}
	g.err = &Refusal{Status: http.StatusForbidden, Err: errors.New("not for everybody")}
	if status, body := post("/config/diff", "x"); status != http.StatusForbidden || body["message"] != "not for everybody" {
		t.Errorf("found %d, %v", status, body)
	}
	if status, body := ask(t, client, "GET", "/config/diff"); status != http.StatusMethodNotAllowed {
		t.Errorf("found %d, %v", status, body)
	}
}
