package admin

import (
	"errors"
	"net/http"

	"github.com/outrigger-gateway/outrigger/host/internal/entitydiff"
)

// Differ compares a declarative document with what is live.
type Differ interface {
	// DiffEntities says what the document would change if the gateway read it now. Its error says what is wrong with the document. Name is what errors
	// call it. Private says that nobody but the gateway's own user can have asked. An error that is a *Refusal says what to answer; others are answered
	// with 422.
	DiffEntities(name string, document []byte, private bool) (*entitydiff.Diff, error)
}

// maxDocument is the longest document, in bytes, that may be compared.
const maxDocument = 64 << 20

// diff answers POST /config/diff, whose body is a declarative document; ?name= is its file.
func (s *Server) diff(r *Request) Answer {
	name := string(r.Query().Peek("name"))
	if name == "" {
		name = "document"
	}
	d, err := s.gateway.DiffEntities(name, r.Body(), r.Private())
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return Problem(refusal.Status, err.Error())
	case err != nil:
		return Problem(http.StatusUnprocessableEntity, err.Error())
	}
	return Answer{Body: d}
}
