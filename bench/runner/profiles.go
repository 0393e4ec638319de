package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/roles"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
)

// takeProfiles takes CPU profiles of the hosts, and of plugin servers in Go, under load.
func (r *Runner) takeProfiles(ctx context.Context, s *scenario.Scenario, subjects []*subject, gen *generator, l scenario.Load) error {
	if r.Profiles == "" {
		return nil
	}
	taken := map[*gateway]bool{}
	for _, x := range subjects {
		if g := x.gateway; g != nil && g.hostProfile != "" && !taken[g] {
			taken[g] = true
			r.say("%s: profile of %s into %s", s.Name, x.variant.Name, g.hostProfile)
			if err := r.profile(ctx, x, gen, l); err != nil {
				return fmt.Errorf("variant %q: taking the CPU profile: %w", x.variant.Name, err)
			}
		}
	}
	return nil
}

func (r *Runner) profile(ctx context.Context, x *subject, gen *generator, l scenario.Load) error {
	g := x.gateway
	pids, files := slices.Clone(g.host), []string{g.hostProfile}
	for _, pid := range g.servers {
		if r.isGoServer(pid) {
			pids, files = append(pids, pid), append(files, g.serverProfile)
		}
	}
	toggle := func() error {
		var errs []error
		for _, pid := range pids {
			errs = append(errs, syscall.Kill(pid, syscall.SIGUSR1))
		}
		return errors.Join(errs...)
	}
	if err := toggle(); err != nil {
		return err
	}
	_, err := gen.drive(ctx, x.spec(l, 0, r.Profile), func() {}, func() {})
	if err := errors.Join(err, toggle()); err != nil {
		return err
	}
	for _, f := range files {
		if err := awaitFile(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// isGoServer says whether a process is the plugin server of this program: others do not know what SIGUSR1 means.
func (r *Runner) isGoServer(pid int) bool {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	words := strings.Split(string(line), "\x00")
	return err == nil && len(words) > 2 && slices.Equal(words[:3], []string{r.Program, roles.Command, "plugins"})
}

// awaitFile waits until a program has written a file.
func awaitFile(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("profile %s did not appear: %w", path, context.Cause(ctx))
		}
	}
}
