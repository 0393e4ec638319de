package ratelimiting

import (
	"crypto/sha256"
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// What the counters of one gateway may hold.
const (
	shards          = 64
	countersOfShard = 4096
	longestWho      = 64 // bytes; longer ones are hashed
)

// key says whose requests a counter counts.
type key struct {
	record string // id of the plugin record
	by     kind
	who    string
}

// kind is what who is: an address never meets a header value that looks like one.
type kind uint8

const (
	byIP kind = iota
	byConsumer
	byCredential
	byService
	byHeader
	byPath
	byConsumerGroup
)

// counter holds the counts of one key for all periods. It is in a list of its shard, by last use.
type counter struct {
	key          key
	start        [periods]int64 // of the window that is counted, in seconds since the epoch
	used         [periods]int64
	older, newer *counter
}

// counters are the counters of all instances of a plugin value, so that they outlive a reload. Their number is bounded: in a full shard the one that was
// not used for the longest time goes.
type counters struct {
	now    func() time.Time
	seed   maphash.Seed
	most   int // of a shard
	shards [shards]shard
}

type shard struct {
	mu     sync.Mutex
	byKey  map[key]*counter
	newest *counter
	oldest *counter
	_      [64]byte // another shard is on another cache line
}

func newCounters(now func() time.Time) *counters {
	c := &counters{now: now, seed: maphash.MakeSeed(), most: countersOfShard}
	for i := range c.shards {
		c.shards[i].byKey = map[key]*counter{}
	}
	return c
}

// take counts one request, if no limit of it is used up. Check and count are one step: of any number of requests at once, exactly as many pass as the limits
// say, and those that do not pass are not counted. It may be called by several goroutines at once. k may point into memory that changes after the call.
func (c *counters) take(k key, l *limits) verdict {
	if len(k.who) > longestWho {
		sum := sha256.Sum256([]byte(k.who))
		k.who = string(sum[:])
	}
	s := &c.shards[maphash.String(c.seed, k.who)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	now := c.now() // inside the lock, so that nobody comes with the time of a window that is over
	n := s.find(k, c.most)
	v := verdict{limits: *l}
	for p, limit := range l {
		if limit == 0 {
			continue
		}
		if start := windowStart(p, now); start != n.start[p] {
			n.start[p], n.used[p] = start, 0
		}
		v.used[p], v.elapsed[p] = n.used[p], now.Unix()-n.start[p]
		v.blocked = v.blocked || limit-float64(n.used[p]) <= 0
	}
	if !v.blocked {
		for p, limit := range l {
			if limit != 0 {
				n.used[p]++
			}
		}
	}
	return v
}

// find finds or makes a counter, and makes it the newest. The shard is locked.
func (s *shard) find(k key, most int) *counter {
	n := s.byKey[k]
	switch {
	case n == s.newest && n != nil:
		return n
	case n != nil:
		s.unlink(n)
	default:
		if len(s.byKey) >= most {
			n = s.oldest
			s.unlink(n)
			delete(s.byKey, n.key)
			*n = counter{}
		} else {
			n = &counter{}
		}
		n.key = key{strings.Clone(k.record), k.by, strings.Clone(k.who)}
		s.byKey[n.key] = n
	}
	n.older, n.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = n
	} else {
		s.oldest = n
	}
	s.newest = n
	return n
}

func (s *shard) unlink(n *counter) {
	if n.newer != nil {
		n.newer.older = n.older
	} else {
		s.newest = n.older
	}
	if n.older != nil {
		n.older.newer = n.newer
	} else {
		s.oldest = n.newer
	}
}
