package router

import (
	"fmt"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// ending says where the path of a request may end that a literal path matches: path_match of a route. A larger one takes less.
type ending uint8

const (
	endsAnywhere ending = iota // the literal path is a prefix
	endsSegment                // it is a prefix of whole segments
	endsPath                   // it is the whole path
)

// endings are the words of path_match.
var endings = [...]string{endsAnywhere: entity.PathPrefix, endsSegment: entity.PathSegment, endsPath: entity.PathExact}

// endingOf is the ending of a route; no path_match is a prefix.
func endingOf(r *entity.Route) (ending, error) {
	switch r.PathMatch {
	case "", entity.PathPrefix:
		return endsAnywhere, nil
	case entity.PathSegment:
		return endsSegment, nil
	case entity.PathExact:
		return endsPath, nil
	}
	return 0, fmt.Errorf("path_match %q: expected prefix, segment or exact", r.PathMatch)
}

func (e ending) String() string { return endings[e] }

// allows reports whether a path, with which the first n bytes of it are the literal path, ends where it may.
func (e ending) allows(path string, n int) bool {
	switch e {
	case endsSegment:
		return len(path) == n || path[n] == '/' || path[n-1] == '/'
	case endsPath:
		return len(path) == n
	}
	return true
}

// allowsAll reports whether it allows every path of a cell of the review, the first n bytes of which are the literal path.
func (e ending) allowsAll(x *cell, n int) bool {
	if len(x.start) > n || e == endsAnywhere {
		return e.allows(x.start, n) && e != endsPath
	}
	return x.ending >= e || e == endsSegment && x.start[n-1] == '/'
}
