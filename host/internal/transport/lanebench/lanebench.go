// Package lanebench measures a lane alone: what a phase call costs without a gateway around it, beside an echo that reads nothing of what it answers and
// a ping-pong of the same bytes in C. It is a role of the program, "outrigger bench-internal lane"; a gateway never runs it.
//
//	outrigger bench-internal lane --target go=server:./hello-plugin --target go-echo=echo: --target python-echo=echo:"python bench/baselines/echo.py" --pin 0
//
// Targets are measured in turn, several rounds, and each result is the median of its rounds; --json also has the rounds. With --pin everything runs once more with all processes bound to
// one processor: only there is the latency of one caller comparable between machines, since a wake-up across processors costs more than the call.
package lanebench

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is one target at one number of callers. Times are of one call; of the ping-pong, of one round trip.
type Result struct {
	Name      string  `json:"name"`
	Pinned    bool    `json:"pinned"`
	Callers   int     `json:"callers"`
	Round     int     `json:"round,omitempty"` // from 1; of a median 0
	Rate      float64 `json:"calls_per_s"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	CPUHost   float64 `json:"cpu_host_us"`
	CPUServer float64 `json:"cpu_server_us"`
	Allocs    float64 `json:"allocs_host"`
	Sent      int     `json:"bytes_sent"`
	Received  int     `json:"bytes_received"`
}

// options are the flags of a measurement.
type options struct {
	targets  []target
	callers  []int
	rounds   int
	duration time.Duration
	carrier  string
	plugin   string
	config   string
	pingpong string
	pin      int
	json     bool
}

// Run measures what args say and writes the results to stdout. It is also the echo that it measures, and its own pinned half, when the environment says so.
func Run(args []string, stdout io.Writer) error {
	if address := os.Getenv(echoEnv); address != "" {
		return serveEcho(address)
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	pinned := os.Getenv(pinnedEnv) != ""
	rounds, err := o.measure(pinned)
	if err != nil {
		return err
	}
	if pinned {
		return json.NewEncoder(stdout).Encode(rounds)
	}
	if o.pin >= 0 {
		more, err := runPinned(o.pin)
		if err != nil {
			return fmt.Errorf("measuring on processor %d alone: %w", o.pin, err)
		}
		rounds = append(rounds, more...)
	}
	if o.json {
		return json.NewEncoder(stdout).Encode(map[string][]Result{"results": medians(rounds), "rounds": rounds})
	}
	return table(stdout, medians(rounds))
}

func parse(args []string) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("lane", flag.ContinueOnError)
	flags.Func("target", "`name=kind:command`, again and again. Kinds: server, a plugin server that is started; address, one that runs, at unix:///path or tcp://host:port; "+
		"echo, a program that answers each call of a lane with the same bytes and gets the path of a socket as its last argument, without a command the one of this program", func(s string) error {
		t, err := parseTarget(s)
		o.targets = append(o.targets, t)
		return err
	})
	callers := flags.String("callers", "1,64", "numbers of callers, with commas")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each target is measured")
	flags.DurationVar(&o.duration, "duration", time.Second, "how long each time")
	flags.StringVar(&o.carrier, "carrier", "msgpack", "of plugin servers: msgpack or grpc")
	flags.StringVar(&o.plugin, "plugin", "", "which plugin of the plugin servers; their first one without it")
	flags.StringVar(&o.config, "config", "{}", "its configuration, JSON")
	flags.StringVar(&o.pingpong, "pingpong", "", "source of the ping-pong, bench/baselines/pingpong.c; it is compiled with cc")
	flags.IntVar(&o.pin, "pin", -1, "a processor: measure once more with everything bound to it")
	flags.BoolVar(&o.json, "json", false, "write JSON")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	for word := range strings.SplitSeq(*callers, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 10_000 {
			return nil, fmt.Errorf("--callers: found %q; expected numbers from 1 to 10000 with commas", *callers)
		}
		o.callers = append(o.callers, n)
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("found the argument %q; expected flags alone", flags.Arg(0))
	case o.rounds < 1 || o.duration <= 0:
		return nil, errors.New("--rounds and --duration: expected more than nothing")
	case o.carrier != "msgpack" && o.carrier != "grpc":
		return nil, fmt.Errorf("--carrier: found %q; expected msgpack or grpc", o.carrier)
	case len(o.targets) == 0:
		o.targets = []target{{name: "go-echo", kind: "echo"}}
	}
	return o, nil
}

// measure runs all rounds in this process.
func (o *options) measure(pinned bool) (rounds []Result, err error) {
	var peers []*peer
	defer func() {
		for _, p := range peers {
			p.stop()
		}
	}()
	for _, t := range o.targets {
		p, err := o.open(t)
		if err != nil {
			return nil, fmt.Errorf("target %s: %w", t.name, err)
		}
		peers = append(peers, p)
	}
	pp, err := buildPingPong(o.pingpong)
	if err != nil {
		return nil, err
	}
	defer pp.remove()
	for _, p := range peers { // warm up
		if _, err := p.drive(slices.Max(o.callers), o.duration/4); err != nil {
			return nil, fmt.Errorf("target %s: %w", p.name, err)
		}
	}
	for round := range o.rounds {
		note := func(r Result) {
			r.Pinned, r.Round = pinned, round+1
			rounds = append(rounds, r)
		}
		var last Result
		for _, callers := range o.callers {
			for _, p := range peers {
				if last, err = p.drive(callers, o.duration); err != nil {
					return nil, fmt.Errorf("target %s: %w", p.name, err)
				}
				note(last)
			}
		}
		if pp != nil {
			r, err := pp.run(last.Sent, last.Received, o.duration)
			if err != nil {
				return nil, err
			}
			note(r)
		}
	}
	return rounds, nil
}

// medians are those of the rounds of each target, number of callers and way of binding, in the order in which they were first measured.
func medians(rounds []Result) []Result {
	type key struct {
		name    string
		pinned  bool
		callers int
	}
	runs := map[key][]Result{}
	var order []key
	for _, r := range rounds {
		k := key{r.Name, r.Pinned, r.Callers}
		if runs[k] == nil {
			order = append(order, k)
		}
		runs[k] = append(runs[k], r)
	}
	var results []Result
	for _, k := range order {
		results = append(results, median(runs[k]))
	}
	return results
}

// median takes each figure's own median.
func median(runs []Result) Result {
	r := runs[0]
	r.Round = 0
	for _, figure := range []func(*Result) *float64{
		func(r *Result) *float64 { return &r.Rate }, func(r *Result) *float64 { return &r.P50 }, func(r *Result) *float64 { return &r.P99 },
		func(r *Result) *float64 { return &r.CPUHost }, func(r *Result) *float64 { return &r.CPUServer }, func(r *Result) *float64 { return &r.Allocs },
	} {
		values := make([]float64, len(runs))
		for i := range runs {
			values[i] = *figure(&runs[i])
		}
		slices.Sort(values)
		*figure(&r) = values[len(values)/2]
	}
	return r
}

func table(w io.Writer, results []Result) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "target\tprocessors\tcallers\tcalls/s\tp50 µs\tp99 µs\tCPU host µs\tCPU server µs\tallocs host\tbytes\t")
	for _, r := range results {
		processors := "all"
		if r.Pinned {
			processors = "one"
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%.0f\t%.1f\t%.1f\t%.2f\t%.2f\t%.2f\t%d+%d\t\n", r.Name, processors, r.Callers, r.Rate, r.P50, r.P99, r.CPUHost, r.CPUServer, r.Allocs, r.Sent, r.Received)
	}
	return tw.Flush()
}
