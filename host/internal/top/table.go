package top

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
)

// Lines is the table of an interval, a line each, without line ends.
func (i *Interval) Lines() []string {
	lines := append(i.head(), "")
	lines = append(lines, i.serverTable()...)
	return append(append(lines, ""), i.pluginTable()...)
}

// head says how the gateway is.
func (i *Interval) head() []string {
	s := &i.Now.Status
	ready := "ready"
	if !s.Ready {
		ready = "NOT READY"
	}
	first := fmt.Sprintf("outrigger %s  %s  %s  generation %d (%.8s)", s.Version, i.Now.At.Format("15:04:05"), ready, s.Generation.Number, s.Generation.Hash)
	second := fmt.Sprintf("requests %s/s  5xx %s/s  p50 %s  p99 %s  connections %s  log phases dropped %s",
		rate(i.requests.calls/i.seconds), rate(i.requests.errors/i.seconds), i.requests.time(0.5), i.requests.time(0.99),
		count(i.value("outrigger_connections")), count(i.value("outrigger_log_phases_dropped_total")))
	return []string{first, second}
}

// value sums up the series of a metric as it is now.
func (i *Interval) value(name string) float64 {
	sum := 0.0
	for _, m := range i.Now.metrics[name].GetMetric() {
		sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return sum
}

// serverTable has a row for every server, and below it one for each process.
func (i *Interval) serverTable() []string {
	t := table{{"SERVER", "STATE", "PID", "CALLS/S", "ERR/S", "P50", "P99", "IN FLIGHT", "QUEUE", "RESTARTS", "RSS", ""}}
	for k := range i.Now.Status.PluginServers {
		s := &i.Now.Status.PluginServers[k]
		f := i.servers[s.Server]
		if f == nil {
			f = &flow{}
		}
		waiting, restarts, rss := 0, 0, uint64(0)
		for _, b := range s.Budgets {
			waiting += b.Waiting
		}
		for _, p := range s.Processes {
			restarts += p.Restarts
			rss += p.RSSBytes
		}
		t = append(t, []string{
			s.Server, s.State.State, "", rate(f.calls / i.seconds), rate(f.errors / i.seconds), f.time(0.5), f.time(0.99),
			strconv.FormatInt(s.InFlight, 10), strconv.Itoa(waiting), strconv.Itoa(restarts), size(rss), remark(s),
		})
		for n := range s.Processes {
			p := &s.Processes[n]
			pid := ""
			if p.PID != 0 {
				pid = strconv.FormatUint(uint64(p.PID), 10)
			}
			t = append(t, []string{
				"  " + strconv.Itoa(p.Number), p.State, pid, rate(i.processes[s.Server][p.Number]), "", "", "", strconv.Itoa(p.InFlight), "", strconv.Itoa(p.Restarts), size(p.RSSBytes), shown(p.Reason),
			})
		}
	}
	if len(t) == 1 {
		return []string{"no plugin servers"}
	}
	return t.lines(3)
}

// remark is what is special about a server.
func remark(s *pluginserver.Status) string {
	var list []string
	if !s.Ready {
		list = append(list, shown(s.Reason))
	} else if s.Degraded {
		list = append(list, "degraded")
	}
	if s.Canary != nil {
		list = append(list, fmt.Sprintf("canary %g%%", math.Round(s.Canary.Share*1e4)/100))
	}
	if s.Retired > 0 {
		list = append(list, fmt.Sprintf("%d older builds drain", s.Retired))
	}
	for _, b := range s.Budgets {
		if b.Breaker != "" && b.Breaker != "closed" {
			list = append(list, strings.TrimSpace("breaker "+b.Breaker+" "+b.Plugin))
		}
	}
	return strings.Join(list, ", ")
}

// shown makes the text of a plugin server fit for a line of a terminal.
func shown(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// pluginTable has a row for every plugin and phase that was ever called, the busiest first.
func (i *Interval) pluginTable() []string {
	t := table{{"PLUGIN", "SERVER", "PHASE", "CALLS/S", "ERR/S", "P50", "P99", "HOST CALLS/S", "SENT/S", "RECEIVED/S"}}
	for k := range i.plugins {
		p := &i.plugins[k]
		t = append(t, []string{
			shown(p.plugin), shown(p.server), p.phase, rate(p.calls / i.seconds), rate(p.errors / i.seconds), p.time(0.5), p.time(0.99), rate(p.hostCalls / i.seconds),
			size(uint64(p.sent / i.seconds)), size(uint64(p.received / i.seconds)),
		})
	}
	if len(t) == 1 {
		return []string{"no plugin of a plugin server was called yet"}
	}
	return t.lines(3)
}

// time is a quantile as text; "-" without calls.
func (f *flow) time(q float64) string {
	took, ok := f.quantile(q)
	switch {
	case !ok:
		return "-"
	case took < time.Millisecond:
		return fmt.Sprintf("%.0fµs", float64(took)/float64(time.Microsecond))
	case took < 100*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(took)/float64(time.Millisecond))
	case took < time.Second:
		return fmt.Sprintf("%.0fms", float64(took)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.1fs", took.Seconds())
}

func rate(perSecond float64) string {
	if perSecond > 0 && perSecond < 10 {
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	}
	return count(perSecond)
}

func count(n float64) string { return strconv.FormatFloat(n, 'f', 0, 64) }

// size is a number of bytes as text; "" for none.
func size(n uint64) string {
	switch {
	case n == 0:
		return ""
	case n < 10<<10:
		return strconv.FormatUint(n, 10) + "B"
	case n < 10<<20:
		return strconv.FormatUint(n>>10, 10) + "K"
	case n < 10<<30:
		return strconv.FormatUint(n>>20, 10) + "M"
	}
	return strconv.FormatUint(n>>30, 10) + "G"
}

// table is rows of cells; the first row is the head.
type table [][]string

// lines aligns the cells: the first columns to the left, the others to the right; a column without head is free text at the end.
func (t table) lines(left int) []string {
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for c, cell := range row {
			widths[c] = max(widths[c], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(t))
	for r, row := range t {
		var b strings.Builder
		for c, cell := range row {
			pad := strings.Repeat(" ", widths[c]-utf8.RuneCountInString(cell))
			switch {
			case c > 0:
				b.WriteString("  ")
			}
			if c < left || t[0][c] == "" {
				b.WriteString(cell + pad)
			} else {
				b.WriteString(pad + cell)
			}
		}
		lines[r] = strings.TrimRight(b.String(), " ")
	}
	return lines
}
