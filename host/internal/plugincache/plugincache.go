// Package plugincache keeps what plugins put into the namespace cache: values that the instances of one plugin share across requests, in
// the memory of this node.
package plugincache

import (
	"math"
	"slices"
	"time"

	"github.com/jellydator/ttlcache/v3"
)

// overhead is what an entry costs beside its key and value, roughly, in bytes.
const overhead = 256

// Store holds the values of all plugins. Together they are bounded: the least recently used ones go first. Many requests may use it at once.
type Store struct {
	values *ttlcache.Cache[key, []byte]
	size   uint64
}

// key keeps plugins apart: one cannot see what another keeps.
type key struct{ plugin, name string }

// cost is what an entry takes of the size of a store.
func (k key) cost(value []byte) uint64 {
	return uint64(overhead + len(k.plugin) + len(k.name) + len(value))
}

// New makes a store of at most size bytes.
func New(size int64) *Store {
	s := &Store{size: uint64(max(size, 1))}
	s.values = ttlcache.New(
		ttlcache.WithMaxCost(s.size, func(item ttlcache.CostItem[key, []byte]) uint64 { return item.Key.cost(item.Value) }),
		ttlcache.WithTTL[key, []byte](ttlcache.NoTTL),
		ttlcache.WithDisableTouchOnHit[key, []byte](), // a time to live counts from the set
	)
	return s
}

// Get returns the value that a plugin keeps under a name, one MessagePack value; nil when there is none. It must not be changed.
func (s *Store) Get(plugin, name string) []byte {
	if item := s.values.Get(key{plugin, name}); item != nil {
		return item.Value()
	}
	return nil
}

// Set keeps a copy of a value. ttl is in seconds; 0: as long as there is room. What has expired makes room first. A value that is larger than the
// store is not kept, and nothing goes for it.
func (s *Store) Set(plugin, name string, value []byte, ttl float64) {
	k := key{plugin, name}
	s.values.DeleteExpired()
	if k.cost(value) > s.size {
		s.values.Delete(k)
		return
	}
	keep := ttlcache.NoTTL
	if ns := ttl * float64(time.Second); ns > 0 && ns < math.MaxInt64 {
		keep = max(time.Duration(ns), 1)
	}
	s.values.Set(k, slices.Clone(value), keep)
}

// Delete forgets a value.
func (s *Store) Delete(plugin, name string) { s.values.Delete(key{plugin, name}) }
