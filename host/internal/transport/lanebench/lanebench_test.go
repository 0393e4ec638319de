package lanebench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

// roleEnv makes the test binary a measurement, or a plugin server to measure.
const roleEnv = "OUTRIGGER_LANEBENCH_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "lane":
		if err := Run(os.Args[1:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "plugins":
		os.Args = os.Args[:1]
		server.Serve(pdk.Plugin{Name: "hello", Version: "1.0.0", New: func() any { return new(hello) }})
	default:
		os.Exit(m.Run())
	}
}

// hello does what the bench's plugin does.
type hello struct{}

func (*hello) Access(k *pdk.PDK) error {
	name, _ := k.Request.GetHeader("x-name")
	if err := k.ServiceRequest.SetHeader("X-Hello", name); err != nil {
		return err
	}
	return k.Response.SetHeader("X-Hello", name)
}

// lane runs the program of this role as the outrigger program would.
func lane(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleEnv+"=lane")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func TestMeasurement(t *testing.T) {
	args := []string{"--target", "echo=echo:", "--target", "sdk=server:env " + roleEnv + "=plugins " + os.Args[0], "--callers", "1,3", "--rounds", "2", "--duration", "50ms", "--json"}
	pingpong := false
	if _, err := exec.LookPath("cc"); err == nil {
		pingpong = true
		args = append(args, "--pingpong", "../../../../bench/baselines/pingpong.c")
	}
	for _, carrier := range []string{"msgpack", "grpc"} {
		stdout, stderr, err := lane(t, append(args, "--carrier", carrier, "--pin", "0")...)
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		var got struct{ Results, Rounds []Result }
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			t.Fatalf("%v in %s", err, stdout)
		}
		want := map[string]bool{}
		for _, pinned := range []bool{false, true} {
			for _, name := range []string{"echo 1", "echo 3", "sdk 1", "sdk 3"} {
				want[fmt.Sprintf("%s %v", name, pinned)] = true
			}
			if pingpong {
				want[fmt.Sprintf("c-pingpong 1 %v", pinned)] = true
			}
		}
		for _, r := range got.Results {
			key := fmt.Sprintf("%s %d %v", r.Name, r.Callers, r.Pinned)
			if !want[key] {
				t.Errorf("%s: %s is there twice, or should not be", carrier, key)
			}
			delete(want, key)
			if r.Rate <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Sent < 500 || r.Received < 30 {
				t.Errorf("%s: %+v", carrier, r)
			}
		}
		if len(want) > 0 {
			t.Errorf("%s: missing: %v", carrier, want)
		}
		if last := len(got.Rounds) - 1; last+1 != 2*len(got.Results) || got.Rounds[0].Round != 1 || got.Rounds[last].Round != 2 {
			t.Errorf("%s: %d rounds of %d results, expected two each", carrier, last+1, len(got.Results))
		}
	}
}

func TestTable(t *testing.T) {
	stdout, stderr, err := lane(t, "--rounds", "1", "--duration", "20ms", "--callers", "2")
	if err != nil || !strings.Contains(stdout, "go-echo") || !strings.Contains(stdout, "calls/s") {
		t.Errorf("got %v\n%s%s", err, stdout, stderr)
	}
}

func TestBadArguments(t *testing.T) {
	for args, want := range map[string]string{
		"--target x":                             `found "x"; expected name=server:command`,
		"--target x=server:":                     "expected name=server:command",
		"--target x=shell:ls":                    "expected name=server:command",
		"--callers 0":                            `found "0"; expected numbers from 1`,
		"--rounds 0":                             "expected more than nothing",
		"--carrier http":                         `found "http"; expected msgpack or grpc`,
		"surplus":                                `found the argument "surplus"`,
		"--target x=server:/nonexistent/program": "target x: fork/exec /nonexistent/program",
		"--target x=echo:true":                   "target x: it ended before it was ready",
		"--pingpong nowhere.c":                   "--pingpong: stat nowhere.c",
	} {
		_, stderr, err := lane(t, strings.Fields(args)...)
		if err == nil || !strings.Contains(stderr, want) {
			t.Errorf("%s: got %v and %q, want %q", args, err, stderr, want)
		}
	}
}
