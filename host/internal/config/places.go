package config

import (
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Places finds services, routes, consumers and upstreams in the document that they were read from. Plugin records know their places
// themselves. It is for one goroutine; a nil Places finds nothing.
type Places struct {
	document *document
	by       map[any]place // made at the first question: few ask
}

type place struct {
	at *path
	n  *node
}

// Find gives the path and the position of an entity, or of a value inside it, such as paths, 1: of the nearest value around it when it is not
// written. ok is false when the entity is not of the document.
func (p *Places) Find(e any, inside ...string) (path string, pos entity.Pos, ok bool) {
	if p == nil {
		return "", entity.Pos{}, false
	}
	if p.by == nil {
		p.index()
	}
	found, ok := p.by[e]
	if !ok {
		return "", entity.Pos{}, false
	}
	path = found.at.String()
	for _, step := range inside {
		path = JoinPath(path, step)
	}
	return path, placeOf(p.document.file, found.n, inside, false), true
}

func (p *Places) index() {
	p.by = map[any]place{}
	for _, r := range p.document.services {
		p.by[r.e] = place{r.at, r.n}
	}
	for _, r := range p.document.routes {
		p.by[r.e] = place{r.at, r.n}
	}
	for _, r := range p.document.consumers {
		p.by[r.e] = place{r.at, r.n}
	}
	for _, r := range p.document.upstreams {
		p.by[r.e] = place{r.at, r.n}
	}
}

// JoinPath puts the name of a field, or the number of an item, behind the path of a value.
func JoinPath(path, step string) string {
	switch {
	case isDigits(step):
		return path + "[" + step + "]"
	case path == "":
		return plainKey(step)
	}
	return path + "." + plainKey(step)
}
