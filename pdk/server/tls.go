package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
)

// certificates are the files of mutual TLS: both sides show a certificate. They are looked at again at every handshake, so that a renewed
// certificate is used without a restart. Files that do not fit together, such as half of a renewal, change nothing: what was loaded before stays.
type certificates struct {
	cert, key, clientCA string
	logger              *slog.Logger

	mu    sync.Mutex
	files []os.FileInfo // of cert, key and clientCA when they were looked at last
	conf  *tls.Config
}

// mutualTLS loads the files. The configuration that it returns is for both planes.
func mutualTLS(cert, key, clientCA string, logger *slog.Logger) (*tls.Config, error) {
	c := &certificates{cert: cert, key: key, clientCA: clientCA, logger: logger}
	c.files = c.look()
	var err error
	if c.conf, err = c.load(); err != nil {
		return nil, err
	}
	outer := c.conf.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil }
	return outer, nil
}

// current is the configuration of the files as they are now.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	files := c.look()
	if slices.EqualFunc(files, c.files, sameFile) {
		return c.conf
	}
	c.files = files // a broken file is told once, not at every handshake
	conf, err := c.load()
	if err != nil {
		c.logger.Error("the certificates have changed but cannot be used: the ones before stay in use", "error", err)
		return c.conf
	}
	c.conf = conf
	c.logger.Info("the certificates have changed and are in use", "certificate", c.cert)
	return conf
}

// look finds out which files are there; nil for one that is not.
func (c *certificates) look() []os.FileInfo {
	files := make([]os.FileInfo, 0, 3)
	for _, path := range []string{c.cert, c.key, c.clientCA} {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		files = append(files, info)
	}
	return files
}

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (c *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("loading --tls-cert and --tls-key: %w", err)
	}
	pem, err := os.ReadFile(c.clientCA)
	if err != nil {
		return nil, fmt.Errorf("loading --tls-client-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("loading --tls-client-ca: %s holds no certificate in PEM form", c.clientCA)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"}, // of the control plane; the data plane's client names no protocol
		// A session that is resumed is not verified again: a host whose authority was taken out of the file would come back in.
		SessionTicketsDisabled: true,
	}, nil
}
