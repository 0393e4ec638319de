package admin

import (
	"net/http"

	"github.com/outrigger-gateway/outrigger/host/internal/entitydiff"
)

// Differ compares a declarative document with what is live.
type Differ interface {
	// DiffEntities says what the document would change if the gateway read it now. Its error says what is wrong with the document. Name is what errors
	// call it.
	DiffEntities(name string, document []byte) (*entitydiff.Diff, error)
}

// maxDocument is the longest document, in bytes, that may be compared.
const maxDocument = 64 << 20

// diff answers POST /config/diff, whose body is a declarative document; ?name= is its file.
func (s *Server) diff(r *Request) Answer {
	name := string(r.Query().Peek("name"))
	if name == "" {
		name = "document"
	}
	d, err := s.gateway.DiffEntities(name, r.Body())
	if err != nil {
		return Problem(http.StatusUnprocessableEntity, err.Error())
	}
	return Answer{Body: d}
}
