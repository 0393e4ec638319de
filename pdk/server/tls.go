package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"

	"github.com/outrigger-gateway/outrigger/proto/tlsfiles"
)

// certificates are the files of mutual TLS: both sides show a certificate.
type certificates struct{ cert, key, clientCA string }

// mutualTLS loads the files. The configuration that it returns is for both planes, and follows them.
func mutualTLS(cert, key, clientCA string, logger *slog.Logger) (*tls.Config, error) {
	c := &certificates{cert, key, clientCA}
	told := func(err error) {
		if err != nil {
			logger.Error("the certificates have changed but cannot be used: the ones before stay in use", "error", err)
			return
		}
		logger.Info("the certificates have changed and are in use", "certificate", cert)
	}
	files, err := tlsfiles.Load(c.load, told, cert, key, clientCA)
	if err != nil {
		return nil, err
	}
	outer := files.Current().Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.Current(), nil }
	return outer, nil
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
