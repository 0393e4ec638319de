package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// selfSigned makes a certificate and its key in PEM form.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", raw)
}

// The same text gives the same value: that is what connections are kept for.
func TestSameTextSameValue(t *testing.T) {
	s := NewStore()
	certificate, key := selfSigned(t)
	other, otherKey := selfSigned(t)
	first, err := s.Pair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Pair(certificate, key); again != first || err != nil {
		t.Errorf("another value for the same text, %v", err)
	}
	if different, err := s.Pair(other, otherKey); different == first || err != nil {
		t.Errorf("the same value for another text, %v", err)
	}
	pool, err := s.Pool(certificate)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Pool(certificate); again != pool || err != nil {
		t.Errorf("another pool for the same text, %v", err)
	}
	if different, err := s.Pool(other); different == pool || err != nil {
		t.Errorf("the same pool for another text, %v", err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	s := NewStore()
	certificate, _ := selfSigned(t)
	_, key := selfSigned(t)
	if _, err := s.Pair(certificate, key); err == nil || strings.Contains(err.Error(), "BEGIN") {
		t.Errorf("a key that does not fit: %v", err)
	}
	if _, err := s.Pair("-----BEGIN NONSENSE", key); err == nil {
		t.Error("no certificate was accepted")
	}
	if _, err := s.Pool(key); err == nil {
		t.Error("a key was accepted as a certificate")
	}
}

// However many texts come, and however long they are, a bounded number of bytes is kept.
func TestBounded(t *testing.T) {
	s := NewStore()
	certificate, key := selfSigned(t)
	for i := range 40 {
		certificate := certificate + strings.Repeat("\n", 1<<20+i) // another text, the same certificate
		if _, err := s.Pool(certificate); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Pair(certificate, key); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{s.pools.Len(), s.pairs.Len()} {
		if n < 1 || n > most>>20 {
			t.Errorf("values of %d texts of 1 MiB are kept, at most %d may be", n, most>>20)
		}
	}
}
