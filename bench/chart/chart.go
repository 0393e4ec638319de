// Package chart draws the charts of the benchmark as SVG: lines over numbers, and bars by name, with the spread of every figure. The colours follow
// the reader's light or dark scheme and are told apart by people who see few colours; lines also differ in their marks.
package chart

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Chart is what is drawn.
type Chart struct {
	Title  string
	XTitle string
	YTitle string
	// Reference, if not 0, is a value that is marked with a dashed line, such as 1 for ratios.
	Reference float64
	Series    []Series
	// Names are written at the whole numbers 0, 1, ... of the x axis instead of numbers.
	Names []string
}

// Series is one line, or the bars of one colour.
type Series struct {
	Name   string
	Points []Point
}

// Point is one figure with its spread.
type Point struct {
	// X is where it stands: a number, or the place of a name.
	X            float64
	Y, Low, High float64
}

const (
	width, height       = 760, 440
	left, right, bottom = 72, 24, 56
	barHeight, barLeft  = 26, 216
	marks               = 6 // kinds of marks and colours
)

// style has the colours of Okabe and Ito, lighter ones in the dark.
const style = `<style>
.b{fill:#fff}.t{fill:#1f2328;font:13px system-ui,sans-serif}.h{font-size:16px;font-weight:600}.m{fill:#59636e}.g{stroke:#d1d9e0}.a{stroke:#59636e}.r{stroke:#59636e;stroke-dasharray:5 4}
.s0{stroke:#0072b2;fill:#0072b2}.s1{stroke:#d55e00;fill:#d55e00}.s2{stroke:#009e73;fill:#009e73}.s3{stroke:#b5539a;fill:#b5539a}.s4{stroke:#b07c00;fill:#b07c00}.s5{stroke:#50565e;fill:#50565e}
.l{fill:none;stroke-width:2}.e{stroke-width:1.5}.w{stroke:#1f2328;stroke-width:1.5}
@media (prefers-color-scheme:dark){.b{fill:#0d1117}.t{fill:#e6edf3}.m{fill:#9198a1}.g{stroke:#30363d}.a{stroke:#9198a1}.r{stroke:#9198a1}
.s0{stroke:#58a6e0;fill:#58a6e0}.s1{stroke:#f0883e;fill:#f0883e}.s2{stroke:#3fb98f;fill:#3fb98f}.s3{stroke:#d98ac4;fill:#d98ac4}.s4{stroke:#e3b341;fill:#e3b341}.s5{stroke:#a8b1bb;fill:#a8b1bb}.l{fill:none}.w{stroke:#e6edf3}}
</style>
`

// drawing is an SVG under way.
type drawing struct{ strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func (d *drawing) begin(w, h int, title string) {
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`, w, h, w, h, html.EscapeString(title))
	d.WriteString(style)
	d.add(`<rect class="b" width="%d" height="%d" rx="6"/>`, w, h)
	d.add(`<text class="t h" x="20" y="30">%s</text>`, html.EscapeString(title))
}

func (d *drawing) end() []byte {
	d.add("</svg>")
	return []byte(d.String())
}

// text writes one text; anchor is start, middle or end.
func (d *drawing) text(class string, x, y float64, anchor, text string) {
	d.add(`<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, class, x, y, anchor, html.EscapeString(text))
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	d.add(`<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

// mark draws the mark of a series.
func (d *drawing) mark(series int, x, y float64) {
	class := "s" + strconv.Itoa(series%marks)
	switch series % 4 {
	case 0:
		d.add(`<circle class="%s" cx="%.1f" cy="%.1f" r="4"/>`, class, x, y)
	case 1:
		d.add(`<rect class="%s" x="%.1f" y="%.1f" width="7" height="7"/>`, class, x-3.5, y-3.5)
	case 2:
		d.add(`<path class="%s" d="M%.1f %.1fl4.5 8h-9z"/>`, class, x, y-5)
	case 3:
		d.add(`<path class="%s" d="M%.1f %.1fl5 5l-5 5l-5-5z"/>`, class, x, y-5)
	}
}

// Lines draws a line for each series.
func (c *Chart) Lines() []byte {
	d := new(drawing)
	d.begin(width, height, c.Title)
	top := c.legend(d) + 40
	high, step := axis(c.highest())
	lowX, highX := c.across()
	x := func(v float64) float64 { return left + 14 + (v-lowX)/(highX-lowX)*(width-left-right-48) + 10 }
	y := func(v float64) float64 { return height - bottom - v/high*(height-bottom-top) }
	for v := 0.0; v <= high+step/2; v += step {
		d.line("g", left, y(v), width-right, y(v))
		d.text("t m", left-8, y(v)+4, "end", label(v, step))
	}
	d.line("a", left, y(0), width-right, y(0))
	for _, at := range c.places() {
		d.line("a", x(at), y(0), x(at), y(0)+5)
		d.text("t m", x(at), y(0)+20, "middle", c.nameOf(at))
	}
	d.text("t m", (left+width-right)/2, height-12, "middle", c.XTitle)
	d.text("t m", 20, top-16, "start", c.YTitle)
	if c.Reference > 0 && c.Reference <= high {
		d.line("r", left, y(c.Reference), width-right, y(c.Reference))
	}
	for i, s := range c.Series {
		class := "s" + strconv.Itoa(i%marks)
		x := func(v float64) float64 { return x(v) + 4*(float64(i)-float64(len(c.Series)-1)/2) } // spreads of the same x stand side by side
		var path strings.Builder
		for j, p := range s.Points {
			fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[j == 0], x(p.X), y(p.Y))
		}
		d.add(`<path class="%s l" d="%s"/>`, class, path.String())
		for _, p := range s.Points {
			if p.High > p.Low {
				d.line(class+" e", x(p.X), y(p.Low), x(p.X), y(min(p.High, high)))
				d.line(class+" e", x(p.X)-3, y(p.Low), x(p.X)+3, y(p.Low))
				d.line(class+" e", x(p.X)-3, y(min(p.High, high)), x(p.X)+3, y(min(p.High, high)))
			}
			d.mark(i, x(p.X), y(p.Y))
		}
	}
	return d.end()
}

// legend names the series below the title, in as many rows as needed, and says where it ends.
func (c *Chart) legend(d *drawing) (y float64) {
	x := 20.0
	y = 54
	for i, s := range c.Series {
		wide := 24 + 7.2*float64(len([]rune(s.Name)))
		if x+wide > width-right && x > 20 {
			x, y = 20, y+16
		}
		d.mark(i, x+4, y-4)
		d.text("t", x+14, y, "start", s.Name)
		x += wide
	}
	return y
}

// Bars draws a bar for each name; the series only give the colours.
func (c *Chart) Bars() []byte {
	h := 60 + barHeight*len(c.Names) + 44
	d := new(drawing)
	d.begin(width, h, c.Title)
	high, step := axis(c.highest())
	const end = width - 92 // the rest is for the numbers
	x := func(v float64) float64 { return barLeft + max(0, v)/high*(end-barLeft) }
	base := float64(60 + barHeight*len(c.Names))
	for v := 0.0; v <= high+step/2; v += step {
		d.line("g", x(v), 52, x(v), base)
		d.text("t m", x(v), base+18, "middle", label(v, step))
	}
	d.text("t m", barLeft, base+36, "start", c.YTitle)
	for i, s := range c.Series {
		for _, p := range s.Points {
			y := 56 + barHeight*p.X
			d.text("t", barLeft-10, y+17, "end", c.nameOf(p.X))
			d.add(`<rect class="s%d" x="%d" y="%.1f" width="%.1f" height="%d" stroke="none" opacity="0.85"/>`, i%marks, barLeft, y+4, x(p.Y)-barLeft, barHeight-8)
			at := x(p.Y)
			if p.High > p.Low {
				d.line("w", x(p.Low), y+barHeight/2, x(p.High), y+barHeight/2)
				d.line("w", x(p.Low), y+9, x(p.Low), y+17)
				d.line("w", x(p.High), y+9, x(p.High), y+17)
				at = max(at, x(p.High))
			}
			d.text("t", at+8, y+17, "start", figure(p.Y))
		}
	}
	if c.Reference > 0 && c.Reference <= high {
		d.line("r", x(c.Reference), 52, x(c.Reference), base)
	}
	return d.end()
}

// highest is the largest value to show. Of spreads that reach far beyond all medians only the medians count: they would make all else flat.
func (c *Chart) highest() float64 {
	median, far := c.Reference, c.Reference
	for _, s := range c.Series {
		for _, p := range s.Points {
			median, far = max(median, p.Y), max(far, p.High, p.Y)
		}
	}
	return min(far, 1.6*median)
}

// across are the ends of the x axis.
func (c *Chart) across() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, at := range c.places() {
		low, high = min(low, at), max(high, at)
	}
	if low >= high {
		return low - 1, low + 1
	}
	return low, high
}

// places are the marks of the x axis: the names, or every number that a point has.
func (c *Chart) places() []float64 {
	seen := map[float64]bool{}
	var list []float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			if !seen[p.X] {
				seen[p.X] = true
				list = append(list, p.X)
			}
		}
	}
	return list
}

func (c *Chart) nameOf(at float64) string {
	if i := int(at); len(c.Names) > 0 && i >= 0 && i < len(c.Names) {
		return c.Names[i]
	}
	return strconv.FormatFloat(at, 'g', -1, 64)
}

// axis is the end of an axis from zero to at least high, and the distance of its marks: 1, 2 or 5 times a power of ten.
func axis(high float64) (end, step float64) {
	if high <= 0 || math.IsNaN(high) || math.IsInf(high, 0) {
		return 1, 0.5
	}
	power := math.Pow(10, math.Floor(math.Log10(high/5)))
	step = power
	for _, factor := range []float64{1, 2, 5, 10} {
		if step = factor * power; high/step <= 6 {
			break
		}
	}
	return math.Ceil(high/step-1e-9) * step, step
}

// label writes a mark of an axis with the decimals that its step needs.
func label(v, step float64) string {
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	return thousands(strconv.FormatFloat(v, 'f', decimals, 64))
}

// figure writes a value with three digits.
func figure(v float64) string {
	switch {
	case math.Abs(v) >= 100:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case math.Abs(v) >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// thousands puts commas into a number.
func thousands(number string) string {
	whole, fraction, ok := strings.Cut(number, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if !ok {
		return whole
	}
	return whole + "." + fraction
}
