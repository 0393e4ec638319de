package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/prefetch"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// runAhead runs a vector, and when it asks what a host may answer ahead, once more with these answers. Nothing else of it may change.
func (r *remote) runAhead(ctx context.Context, lane *side, v *vectors.Vector) (*vectors.Run, []error) {
	first := v.Asker()
	run, diffs := r.runOn(ctx, lane, v, first)
	ahead := answersAhead(first.Answered())
	if len(diffs) > 0 || len(ahead) == 0 {
		return run, diffs
	}
	if lane.Hello().Features&wire.FeaturePrefetch == 0 {
		return run, []error{errors.New("it does not take answers ahead of their questions")}
	}
	asker := v.Asker()
	asker.Ahead(ahead)
	run, diffs = r.runOn(ctx, lane, v, asker, ahead...)
	if run == nil {
		return run, diffs
	}
	if used, all := asker.Used(), uint32(1)<<len(ahead)-1; used != all&^run.Outcome.Unused {
		diffs = append(diffs, fmt.Errorf("the answers %b of %b took the place of a question; it says that %b were not used", used, all, run.Outcome.Unused))
	}
	run.Outcome.Unused = 0
	return run, diffs
}

// answersAhead are the answers that a host would send ahead, each once. A question that the vector answers in several ways has none: a host's answer
// changes with what the handler writes and with nothing else.
func answersAhead(answered []wire.Prefetched) []wire.Prefetched {
	var ahead []wire.Prefetched
	for i, p := range answered {
		same := func(q wire.Prefetched) bool { return q.Fn == p.Fn && slices.EqualFunc(q.Args, p.Args, bytes.Equal) }
		if slices.IndexFunc(answered, same) < i || len(ahead) == wire.MaxPrefetched {
			continue
		}
		size := len(p.Answer.Bytes) + len(p.Answer.Value)
		if p.Answer.Err != nil || size > prefetch.MaxItem || !prefetch.May(&wire.Ask{Fn: p.Fn, Args: p.Args}) {
			continue
		}
		if slices.ContainsFunc(answered, func(q wire.Prefetched) bool { return same(q) && !reflect.DeepEqual(q.Answer, p.Answer) }) {
			continue
		}
		ahead = append(ahead, p)
	}
	return ahead
}
