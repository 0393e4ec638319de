// Package certs turns certificates and keys in PEM form, as plugins give them with each request, into what crypto/tls takes. The same text
// gives the same value, so that connections can be kept for it.
package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/jellydator/ttlcache/v3"
)

const (
	most = 16 << 20  // bytes of the texts of each kind whose values are kept
	kept = time.Hour // after the last use
	// overhead is what a value costs beside its text, roughly, in bytes.
	overhead = 4 << 10
)

// text stands for the texts that a value was made of.
type text struct {
	digest [sha256.Size]byte
	size   int // bytes
}

// Store keeps what it parsed, bounded. Many requests may use it at once.
type Store struct {
	pairs *ttlcache.Cache[text, *tls.Certificate]
	pools *ttlcache.Cache[text, *x509.CertPool]
}

// NewStore makes an empty store.
func NewStore() *Store {
	return &Store{pairs: newCache[*tls.Certificate](), pools: newCache[*x509.CertPool]()}
}

func newCache[V any]() *ttlcache.Cache[text, V] {
	return ttlcache.New(
		ttlcache.WithMaxCost(most, func(item ttlcache.CostItem[text, V]) uint64 { return uint64(overhead + item.Key.size) }),
		ttlcache.WithTTL[text, V](kept),
	)
}

// Pair is a certificate, with those between it and a trusted one behind it, and its private key. The errors show nothing of the key.
func (s *Store) Pair(certificates, key string) (*tls.Certificate, error) {
	id := textOf(certificates, key)
	if item := s.pairs.Get(id); item != nil {
		return item.Value(), nil
	}
	pair, err := tls.X509KeyPair([]byte(certificates), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("the certificate and its key: %w", err)
	}
	s.pairs.Set(id, &pair, ttlcache.DefaultTTL)
	return &pair, nil
}

// Pool is a set of trusted certificates.
func (s *Store) Pool(certificates string) (*x509.CertPool, error) {
	id := textOf(certificates)
	if item := s.pools.Get(id); item != nil {
		return item.Value(), nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(certificates)) {
		return nil, errors.New("no certificate in PEM form is among the trusted ones")
	}
	s.pools.Set(id, pool, ttlcache.DefaultTTL)
	return pool, nil
}

func textOf(texts ...string) (id text) {
	h := sha256.New()
	for _, t := range texts {
		fmt.Fprintf(h, "%d:", len(t))
		h.Write([]byte(t))
		id.size += len(t)
	}
	h.Sum(id.digest[:0])
	return id
}
