// Package examples holds the example plugins and the tests of the whole gateway: the real binary, configured by files, with real plugin
// servers in Go, Python and JavaScript and real HTTP on both sides.
//
// The test library is in lib_*_test.go; each other file is one topic. Every process is started and ended by the test that needs it, ports are
// chosen by the kernel, and tests wait for conditions, never for a time.
package examples

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Places of what the tests run. TestMain sets them.
var built struct {
	repo string // top of the repository
	temp string // short, so that sockets below it are possible; removed at the end
	// host and plain are outrigger with and without the race detector.
	host, plain string
	// goExamples and goTests are the plugin servers of examples/go and of examples/internal/testplugins/go; native and nativeRace are a gateway
	// with hello-go and the native plugins of package trail built in, without and with the race detector.
	goExamples, goTests, native, nativeRace string
	// goRecorded is the plugin server of examples/internal/recorded/go.
	goRecorded string
}

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) (code int) {
	// Whatever outlives its parent becomes a child of this process, and is seen at the end.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return failMain(fmt.Errorf("becoming the parent of orphans: %w", err))
	}
	temp, err := os.MkdirTemp("/tmp", "oe-")
	if err != nil {
		return failMain(err)
	}
	built.temp = temp
	defer os.RemoveAll(temp)
	if err := setUp(); err != nil {
		return failMain(err)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil { // they wait more than they work
		return failMain(err)
	}
	code = m.Run()
	if err := leftovers(); err != nil {
		return failMain(err)
	}
	return code
}

func failMain(err error) int {
	fmt.Fprintln(os.Stderr, "examples:", err)
	return 1
}

// setUp builds the binaries.
func setUp() error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	built.repo = filepath.Dir(here)
	if err := checkLanguages(); err != nil {
		return err
	}
	bin, race := filepath.Join(built.temp, "bin"), filepath.Join(built.temp, "race")
	built.plain, built.goExamples, built.native = filepath.Join(bin, "outrigger"), filepath.Join(bin, "go"), filepath.Join(bin, "nativehello")
	built.host, built.goTests, built.nativeRace = filepath.Join(race, "outrigger"), filepath.Join(race, "go"), filepath.Join(race, "nativehello")
	built.goRecorded = filepath.Join(built.temp, "recorded", "go")
	// The flags are those of make build and of go test -race: most of the work is done already.
	err = build(bin, "-trimpath", "-ldflags=-s -w", "./host/cmd/outrigger", "./examples/go", "./examples/internal/nativehello")
	if err == nil {
		err = build(race, "-race", "./host/cmd/outrigger", "./examples/internal/testplugins/go", "./examples/internal/nativehello")
	}
	if err == nil {
		err = build(filepath.Dir(built.goRecorded), "-race", "./examples/internal/recorded/go")
	}
	return err
}

func build(dir string, args ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-o", dir + "/"}, args...)...)
	cmd.Dir = built.repo
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// checkLanguages says what to do when the SDKs are not set up.
func checkLanguages() error {
	for _, file := range []string{".venv/bin/python", "examples/js/node_modules/.bin/outrigger-js", "sdk-js/dist/cli.js"} {
		if _, err := os.Stat(filepath.Join(built.repo, file)); err != nil {
			return fmt.Errorf(`%w: run "make python js" first`, err)
		}
	}
	return nil
}
