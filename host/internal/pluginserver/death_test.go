package pluginserver

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// A process whose lanes have ended and which takes long to be gone: what is said of its end, and whether it has died, follow from who ended it.
func TestATruthThatTakesLong(t *testing.T) {
	lost := errors.New("lost")
	for _, c := range []struct {
		name     string
		byItself bool
		want     string
		deaths   int
	}{
		{"ended by itself", true, "exit status 7", 1},
		{"lives", false, "lost", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gone, deaths := make(chan struct{}), 0
				l := &life{pulse: newPulse(), peer: &peer{server: &Server{opts: &Options{OnDeath: func(uint64) { deaths++ }}}}, link: &link{
					gone:     gone,
					ending:   func() string { return "exit status 7" },
					byItself: func() bool { return c.byItself },
					close:    sync.OnceFunc(func() { close(gone) }),
				}}
				l.ctx, l.end = context.WithCancelCause(t.Context())
				l.pulse.life.Store(1)
				go l.watch()
				err := l.truth(lost)
				synctest.Wait()
				if err.Error() != c.want || deaths != c.deaths {
					t.Errorf("%v and %d deaths, expected %s and %d", err, deaths, c.want, c.deaths)
				}
			})
		})
	}
}
