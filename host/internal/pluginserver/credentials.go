package pluginserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"google.golang.org/grpc/credentials"

	"github.com/outrigger-gateway/outrigger/proto/tlsfiles"
)

// TLS are the files of mutual TLS with an attached server: the host shows Cert, and the server's must be signed by one in CA.
type TLS struct {
	Cert, Key, CA string
	ServerName    string // that the server's certificate must have; empty: the host of the address
}

// tlsClient gives the configuration for handshakes, with the files as they are at that moment. Running connections go on.
type tlsClient struct {
	TLS
	files *tlsfiles.Config
}

// newTLSClient loads the files.
func newTLSClient(files TLS, logger *slog.Logger) (*tlsClient, error) {
	told := func(err error) {
		if err != nil {
			logger.Error("the certificates for the plugin server have changed but cannot be used: the ones before stay in use", "error", err)
			return
		}
		logger.Info("the certificates for the plugin server have changed: new connections use them", "certificate", files.Cert)
	}
	conf, err := tlsfiles.Load(files.load, told, files.Cert, files.Key, files.CA)
	return &tlsClient{files, conf}, err
}

// config is for a handshake with the server at addr, with the files as they are now.
func (c *tlsClient) config(addr address) *tls.Config {
	conf := c.files.Current().Clone()
	if conf.ServerName = c.ServerName; conf.ServerName == "" {
		conf.ServerName = addr.host()
	}
	return conf
}

func (t *TLS) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: cert and key: %w", err)
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("tls: ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls: ca: %s holds no certificate in PEM form", t.CA)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS13}, nil
}

// handshakes are the credentials of a control connection. Every handshake of it, also after a reconnection, uses the files of its moment.
type handshakes struct {
	client *tlsClient
	addr   address
	failed func(err error) // told why a handshake failed, also when the server says so after it
}

func (h *handshakes) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, auth, err := credentials.NewTLS(h.client.config(h.addr)).ClientHandshake(ctx, authority, raw)
	if err != nil {
		h.failed(err)
		return nil, nil, err
	}
	return &refusable{conn, h.failed}, auth, nil
}

func (h *handshakes) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("credentials of a client")
}

func (h *handshakes) Info() credentials.ProtocolInfo {
	return credentials.NewTLS(h.client.config(h.addr)).Info()
}

func (h *handshakes) Clone() credentials.TransportCredentials { c := *h; return &c }

// OverrideServerName does nothing: the name is that of the settings.
func (h *handshakes) OverrideServerName(string) error { return nil }

// refusable is a connection whose server may still refuse the host's certificate: in TLS 1.3 it does so when the host takes the handshake for
// done.
type refusable struct {
	net.Conn
	failed func(err error)
}

func (r *refusable) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	if saidByServer(err) {
		r.failed(err)
	}
	return n, err
}

// saidByServer says whether an error of TLS is an alert of the other side.
func saidByServer(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// explain says in words why a handshake failed, and what to do.
func (c *tlsClient) explain(addr address, err error) error {
	name := c.config(addr).ServerName
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("connect to %s: its certificate is signed by no authority in %s: name the one that signed it in tls.ca: %w", addr, c.CA, err)
	case errors.As(err, &wrongName):
		return fmt.Errorf("connect to %s: its certificate is not for %q: set tls.server_name to a name that it has: %w", addr, name, err)
	case errors.As(err, &invalid):
		return fmt.Errorf("connect to %s: its certificate cannot be used: renew it, or look at the clocks of both machines: %w", addr, err)
	case errors.As(err, &noTLS):
		return fmt.Errorf("connect to %s: somebody listens, but does not speak TLS: give the server its certificate, or remove tls: %w", addr, err)
	case saidByServer(err):
		return fmt.Errorf("connect to %s: the server refuses this host's certificate %s: sign it by an authority that the server trusts: %w", addr, c.Cert, err)
	}
	return fmt.Errorf("connect to %s: the TLS handshake fails: %w", addr, err)
}
