package conformance

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/launcher"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/reaper"
	"github.com/outrigger-gateway/outrigger/proto/vectors"
)

// on runs tests on some implementations alone, such as -on go,js/grpc: while one of the others is being worked on. Tests that need all of them fail then.
var on = flag.String("on", "", "comma-separated implementations; empty: all")

// suite is shared by the tests: its processes are started once.
var suite *Suite

// The tests need the drivers of all languages, as `make conformance` prepares them. The test binary is also the reaper and
// the launcher.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case reaper.Arg:
			reaper.Main()
		case launcher.Arg:
			launcher.Main()
		}
	}
	flag.Parse()
	os.Exit(withSuite(m))
}

func withSuite(m *testing.M) int {
	dir, err := os.MkdirTemp("", "conf")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	root, err := filepath.Abs("../../..")
	o := Options{Root: root, GoDriver: filepath.Join(dir, "go"), Logger: slog.New(slog.DiscardHandler)}
	if *on != "" {
		o.Only = strings.Split(*on, ",")
	}
	if err == nil {
		err = buildGoDriver(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var end func() error
	suite, end, err = Open(context.Background(), o)
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintf(os.Stderr, "starting the drivers: %v\n", err)
	}
	if err := end(); err != nil {
		fmt.Fprintf(os.Stderr, "ending the drivers: %v\n", err)
		return 1
	}
	return code
}

// buildGoDriver builds the Go driver with the race detector.
func buildGoDriver(o Options) error {
	cmd := exec.Command("go", "build", "-race", "-o", o.GoDriver, "./pdk/conformance/server")
	cmd.Dir = o.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the Go driver: %w\n%s", err, out)
	}
	return nil
}

// vector makes a vector of a test's own.
func vector(t testing.TB, fields map[string]any) *vectors.Vector {
	t.Helper()
	for _, key := range []string{"calls", "ops"} {
		if fields[key] == nil {
			fields[key] = []any{}
		}
	}
	if fields["phase"] == nil {
		fields["phase"] = "access"
	}
	fields["name"] = t.Name()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vectors.Parse("test", text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// call is one call of a vector; result and refusal are what is expected.
func call(fn string, args ...any) map[string]any {
	return map[string]any{"fn": fn, "args": append([]any{}, args...)}
}

func result(c map[string]any, value any) map[string]any    { c["result"] = value; return c }
func refused(c map[string]any, code string) map[string]any { c["error"] = code; return c }

// runOn runs a vector on an implementation and gives what Check does not see too.
func runOn(t testing.TB, impl implementation, v *vectors.Vector) (*vectors.Run, []error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return impl.run(ctx, v)
}

// everywhere runs a vector on every implementation and gives the differences. Log lines are not compared: they may be under way.
func everywhere(t testing.TB, v *vectors.Vector) []string {
	t.Helper()
	v.Logs = nil
	found := make([][]string, len(suite.implementations))
	var wg sync.WaitGroup
	for i, impl := range suite.implementations {
		wg.Go(func() {
			run, diffs := runOn(t, impl, v)
			if run != nil {
				run.Logs = nil
				diffs = append(diffs, v.Check(run)...)
				diffs = append(diffs, accepted(v, run)...)
			}
			for _, diff := range diffs {
				found[i] = append(found[i], fmt.Sprintf("%s: %v", impl.name(), diff))
			}
		})
	}
	wg.Wait()
	return slices.Concat(found...)
}

// agree fails the test where an implementation differs.
func agree(t *testing.T, v *vectors.Vector) {
	t.Helper()
	for _, diff := range everywhere(t, v) {
		t.Error(diff)
	}
}
