package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/outrigger-gateway/outrigger/proto/goplugin"
)

// maxMessage bounds one control-plane message, in bytes.
const maxMessage = 32 << 20

// termGrace is how long a managed process gets for each step of its end: Shutdown, then SIGTERM, then SIGKILL.
const termGrace = 2 * time.Second

// link is an open control connection to one plugin server process.
type link struct {
	conn   *grpc.ClientConn
	pid    int             // managed only
	gone   <-chan struct{} // managed: closed when the process has ended; attached: nil
	addr   address         // attached: of the control plane
	tls    *tlsClient      // attached: for the data plane too; nil: none
	socket *socketRules    // attached: for the data plane too; managed: nil

	memory func() uint64 // managed: bytes that its cgroup uses; 0: not known
	// ending says why gone was closed; managed only.
	ending func() string
	// byItself says, once gone was closed, whether the process had ended before anybody here ended it; managed only.
	byItself func() bool
	// shutdown ends the process in order and waits for it; at the latest when ctx is done it is killed. Managed only.
	shutdown func(ctx context.Context)
	// close ends what shutdown did not end and frees everything. It waits, and may be called again.
	close func()
}

// opener makes links: one attempt each.
type opener interface {
	// open returns a link whose server can be asked, or why not. Nothing is left behind when it fails.
	open(ctx context.Context) (*link, error)
}

// managed starts processes.
type managed struct {
	cfg     *Config
	account *account
	server  *Server
}

func (m *managed) open(ctx context.Context) (*link, error) {
	iso := m.server.isolation(m.account)
	if iso.err != nil {
		return nil, iso.err
	}
	p := newProcess(m.cfg, iso, m.account, m.server.servers.reaper, m.server.logger)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: cookieKey, MagicCookieValue: cookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{1: {}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		SkipHostEnv:      true,
		StartTimeout:     m.cfg.StartTimeout,
		Logger:           hclog.NewNullLogger(), // everything worth telling is told by us
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: m.server.servers.runDir},
		GRPCDialOptions:  []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage))},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, tmpDir string) (runner.Runner, error) {
			p.tmpDir, p.env = tmpDir, environment(m.cfg, m.account, tmpDir, cmd.Env)
			if m.account != nil {
				if err := os.Chown(tmpDir, m.account.uid, m.account.gid); err != nil {
					return nil, fmt.Errorf("give the socket directory to user %s: %w", m.account.name, err)
				}
			}
			return p, nil
		},
	})
	// go-plugin holds its lock while it starts, and waits without a bound for a server that does not answer. Killing the process
	// is what always ends its waiting.
	stop := context.AfterFunc(ctx, func() { p.signal(syscall.SIGKILL) })
	defer stop()
	release := sync.OnceFunc(func() {
		p.signal(syscall.SIGKILL)
		if p.ID() != "" {
			<-p.exited
			client.Kill() // nothing is left to kill: frees the connection and go-plugin's goroutines
		}
		if p.tmpDir != "" {
			_ = os.RemoveAll(p.tmpDir)
		}
	})
	conn, err := connectManaged(client)
	if err != nil {
		release()
		return nil, m.explain(ctx, p, err)
	}
	return &link{
		conn: conn, pid: int(p.pid.Load()), gone: p.exited,
		ending:   p.ending,
		byItself: p.endedByItself,
		memory:   p.memory,
		shutdown: func(ctx context.Context) { p.end(ctx, conn) },
		close:    release,
	}, nil
}

// connectManaged lets go-plugin start the process and read the handshake, and takes the connection from it.
func connectManaged(client *plugin.Client) (*grpc.ClientConn, error) {
	if _, err := client.Start(); err != nil {
		return nil, err
	}
	protocol, err := client.Client()
	if err != nil {
		return nil, err
	}
	grpcClient, ok := protocol.(*plugin.GRPCClient)
	if !ok {
		return nil, fmt.Errorf("the server speaks %T, expected gRPC", protocol)
	}
	return grpcClient.Conn, nil
}

// explain turns go-plugin's error into what happened to the process. The process has ended.
func (m *managed) explain(ctx context.Context, p *process, err error) error {
	started := strings.Join(m.cfg.Command, " ")
	switch {
	case p.ID() == "": // never started: the error is our own
		return err
	case p.endedByItself():
		return errors.New(p.endingWhen(" before it was up"))
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || strings.HasPrefix(err.Error(), "timeout while waiting"):
		last := ""
		if line := p.tail.String(); line != "" {
			last = "; its last line on " + line
		}
		return fmt.Errorf("not up within %v (pid %s, started as %q): no handshake line on its standard output, or no answer behind it%s", m.cfg.StartTimeout, p.ID(), started, last)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("handshake with pid %s, started as %q: %w", p.ID(), started, err)
}

// end asks the process to end, in growing sharpness, and waits for it.
func (p *process) end(ctx context.Context, conn *grpc.ClientConn) {
	ask, cancel := context.WithTimeout(ctx, termGrace)
	err := goplugin.Shutdown(ask, conn)
	cancel()
	if err == nil && p.ended(ctx, termGrace) {
		return
	}
	p.signal(syscall.SIGTERM)
	if p.ended(ctx, termGrace) {
		return
	}
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// ended waits for the process, at most for d and until ctx is done.
func (p *process) ended(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
