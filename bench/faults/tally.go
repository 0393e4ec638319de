package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// tally counts what happened.
type tally struct {
	clients sync.WaitGroup
	begun   time.Time

	mu        sync.Mutex
	requests  int
	answers   map[string]map[int]int // by fault and status
	other     map[string]int
	wrongs    []string
	crosses   []string
	reloads   []time.Duration
	refused   []string
	memory    []sample
	addresses map[string]int
	lateMoves int
	unluckies int
	moved     string    // where the name leads to
	movedAt   time.Time // since when
}

// sample is the gateway's memory at one moment.
type sample struct {
	at time.Duration
	mb float64
}

// kept is how many faulty answers are told in full.
const kept = 20

func newTally() *tally {
	return &tally{begun: time.Now(), answers: map[string]map[int]int{}, other: map[string]int{}, addresses: map[string]int{}}
}

func (t *tally) wait() { t.clients.Wait() }

func (t *tally) answered(fault string, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.requests++
	if t.answers[fault] == nil {
		t.answers[fault] = map[int]int{}
	}
	t.answers[fault][status]++
}

func (t *tally) count(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.other[what]++
}

func (t *tally) wrong(fault, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrongs = append(t.wrongs, fault+": "+what)
}

func (t *tally) crossed(fault, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.crosses = append(t.crosses, fault+": "+what)
}

// unlucky counts a request that must not be sent twice and met a kept connection which its upstream was just closing (half-close): there is no
// right answer but 502.
func (t *tally) unlucky() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unluckies++
}

// maxUnlucky is the largest share of them.
const maxUnlucky = 0.02

// nameMoved notes that the moving name leads somewhere else from now on.
func (t *tally) nameMoved(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moved, t.movedAt = address, time.Now()
}

// movedTo counts an answer of the moving name. One from the former address is late when the record has long expired.
func (t *tally) movedTo(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addresses[address]++
	if t.moved != "" && address != t.moved && time.Since(t.movedAt) > nameTTL+nameGrace {
		t.lateMoves++
	}
}

// report tells what happened, and whether it may.
func (t *tally) report(o *options) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "# Load with faults\n\n%s, %d clients, seed %d.\n\n| fault of the upstream | answers |\n|---|---|\n", time.Since(t.begun).Round(time.Second), o.clients, o.seed)
	for _, f := range faults {
		var parts []string
		for _, status := range slices.Sorted(maps.Keys(t.answers[f.name])) {
			parts = append(parts, fmt.Sprintf("%d × %d", t.answers[f.name][status], status))
		}
		fmt.Fprintf(&b, "| %s | %s |\n", f.name, strings.Join(parts, ", "))
	}
	b.WriteString("\n")
	for _, what := range slices.Sorted(maps.Keys(t.other)) {
		fmt.Fprintf(&b, "- %s: %d\n", what, t.other[what])
	}
	for _, a := range slices.Sorted(maps.Keys(t.addresses)) {
		fmt.Fprintf(&b, "- answers of the moving name from %s: %d\n", a, t.addresses[a])
	}
	fmt.Fprintf(&b, "- answers from a former address of the name, %s after it had moved: %d\n", nameTTL+nameGrace, t.lateMoves)
	fmt.Fprintf(&b, "- reloads: %d, failed: %d%s\n- memory: %s\n", len(t.reloads), len(t.refused), t.reloadLine(), t.memoryLine())
	echoes := t.answers["echo"][200] + t.answers["echo"][502]
	fmt.Fprintf(&b, "- requests with a body that met a connection which was just closed: %d of %d\n", t.unluckies, echoes)
	if float64(t.unluckies) > maxUnlucky*float64(echoes) {
		t.wrongs = append(t.wrongs, fmt.Sprintf("echo: %d of %d requests met a closed connection, expected at most %g of them", t.unluckies, echoes, maxUnlucky))
	}
	flat := t.flat()
	for title, list := range map[string][]string{"Wrong": t.wrongs, "Crossed": t.crosses, "Reloads that failed": t.refused} {
		if len(list) > 0 {
			fmt.Fprintf(&b, "\n## %s (%d)\n\n- %s\n", title, len(list), strings.Join(list[:min(len(list), kept)], "\n- "))
		}
	}
	passed := t.requests > 0 && len(t.wrongs) == 0 && len(t.crosses) == 0 && len(t.refused) == 0 && t.lateMoves == 0 && flat
	verdict := "passed"
	if !passed {
		verdict = "failed"
	}
	fmt.Fprintf(&b, "\nfaults: %d answers, %d wrong, %d crossed, %d reloads, memory flat: %t, %s\n", t.requests, len(t.wrongs), len(t.crosses), len(t.reloads), flat, verdict)
	return b.String(), passed
}

func (t *tally) reloadLine() string {
	if len(t.reloads) == 0 {
		return ""
	}
	sorted := slices.Sorted(slices.Values(t.reloads))
	return fmt.Sprintf("; until it shows: median %v, longest %v", sorted[len(sorted)/2].Round(time.Millisecond), sorted[len(sorted)-1].Round(time.Millisecond))
}

func (t *tally) memoryLine() string {
	var parts []string
	for _, s := range t.memory {
		parts = append(parts, fmt.Sprintf("%.0f MB at %s", s.mb, s.at.Round(time.Second)))
	}
	return strings.Join(parts, ", ")
}

// growth is how much larger the memory of the last third of a run may be than that of the second third: runs are short against what a garbage
// collector settles in.
const growth = 1.25

// flat reports whether memory has stopped growing.
func (t *tally) flat() bool {
	n := len(t.memory) / 3
	if n == 0 {
		return true
	}
	largest := func(list []sample) (mb float64) {
		for _, s := range list {
			mb = max(mb, s.mb)
		}
		return mb
	}
	return largest(t.memory[2*n:]) <= growth*largest(t.memory[n:2*n])
}
