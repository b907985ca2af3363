package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"vbk/plan"
)

// The picture, in pixels: one panel below the other, in each the life of points
// over their bytes.
const (
	pictureWidth = 960
	plotLeft     = 92
	plotWidth    = pictureWidth - plotLeft - 20
	lifeTop      = 70
	lifeHeight   = 300
	byteTop      = lifeTop + lifeHeight + 16
	byteHeight   = 90
	panelHeight  = byteTop + byteHeight + 40
	maxPanels    = 30
)

// ruleColours paint what a rule holds, the class of its name, on light and on dark.
const ruleColours = `
.keep_last { fill: #8a63d2; } .keep_hourly { fill: #1b9aaa; } .keep_daily { fill: #2f81d7; } .keep_weekly { fill: #2da44e; }
.keep_monthly { fill: #e07b12; } .keep_yearly { fill: #d1346b; } .keep_within { fill: #8f9c17; } .protected { fill: #c9a100; }
.all { fill: #57829a; }
`

// pictureStyle holds the colours for light and for dark surroundings, without
// variables, which not every program that shows SVG knows.
const pictureStyle = `
.back { fill: #ffffff; } .axis { stroke: #d0d7de; stroke-width: 1; }
text { fill: #24292f; font: 12px system-ui, sans-serif; } .title { font-weight: 600; font-size: 14px; } .small { font-size: 11px; }
.chain { fill: #c3cad1; } .bytes { fill: #2f81d7; fill-opacity: 0.25; stroke: #2f81d7; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  body { background: #0d1117; } .back { fill: #0d1117; } .axis { stroke: #30363d; } text { fill: #c9d1d9; } .chain { fill: #454c56; }
}
` + ruleColours

// ruleClasses are the classes of the picture with their words, in the order of
// the legend.
func ruleClasses() [][2]string {
	return [][2]string{
		{"keep_last", "keep_last"}, {"keep_hourly", "keep_hourly"}, {"keep_daily", "keep_daily"}, {"keep_weekly", "keep_weekly"},
		{"keep_monthly", "keep_monthly"}, {"keep_yearly", "keep_yearly"}, {"keep_within", "keep_within"},
		{"protected", "protected"}, {"all", "no rule: all stay"}, {"chain", "held by its chain only"},
	}
}

func ruleClass(rule string) string {
	for _, class := range ruleClasses() {
		if strings.HasPrefix(rule, class[0]) {
			return class[0]
		}
	}
	if strings.HasPrefix(rule, "no rule") {
		return "all"
	}
	return "chain"
}

// drawing is a picture of simulations that needs no other file: SVG, or HTML
// with it.
func drawing(all []plan.Simulation, ext string) []byte {
	var out bytes.Buffer
	if ext == ".html" {
		out.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>vbk simulate</title>\n" +
			"<body style=\"margin: 0\">\n")
	}
	shown := all[:min(len(all), maxPanels)]
	height := panelHeight*len(shown) + 8
	if len(all) > len(shown) {
		height += 30
	}
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\">\n<style>%s</style>\n", pictureWidth, height, pictureWidth, pictureStyle)
	fmt.Fprintf(&out, "<rect class=\"back\" width=\"%d\" height=\"%d\"/>\n", pictureWidth, height)
	for n, s := range shown {
		fmt.Fprintf(&out, "<g transform=\"translate(0 %d)\">\n", n*panelHeight)
		newPanel(s, &out).draw()
		out.WriteString("</g>\n")
	}
	if len(all) > len(shown) {
		fmt.Fprintf(&out, "<text x=\"20\" y=\"%d\">... and %d more</text>\n", height-16, len(all)-len(shown))
	}
	out.WriteString("</svg>\n")
	if ext == ".html" {
		out.WriteString("</body>\n</html>\n")
	}
	return out.Bytes()
}

// panel is the picture of one simulation.
type panel struct {
	plan.Simulation
	out         *bytes.Buffer
	from, until time.Time // of both axes of time
	first       time.Time // start of the oldest point
}

func newPanel(s plan.Simulation, out *bytes.Buffer) panel {
	p := panel{Simulation: s, out: out, from: s.Assumed.From, until: s.Assumed.From.Add(time.Duration(s.Assumed.For)), first: s.Assumed.From}
	for _, life := range s.Lives {
		if life.Start.Before(p.first) {
			p.first = life.Start
		}
	}
	return p
}

// x is where a moment is; y is where a point is that was made then.
func (p panel) x(t time.Time) float64 {
	share := float64(t.Sub(p.from)) / float64(p.until.Sub(p.from))
	return plotLeft + plotWidth*min(max(share, 0), 1)
}

func (p panel) y(t time.Time) float64 {
	return lifeTop + (lifeHeight-2)*float64(t.Sub(p.first))/float64(p.until.Sub(p.first))
}

func (p panel) text(class string, x, y float64, anchor, words string) {
	p.printf("<text class=\"%s\" x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\">%s</text>\n", class, x, y, anchor, html.EscapeString(words))
}

func (p panel) printf(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }

func (p panel) draw() {
	p.text("title", 20, 22, "start", p.Address)
	p.text("small", 20, 40, "start", assumed([]plan.Simulation{p.Simulation}))
	p.text("small", 20, 56, "start", fmt.Sprintf("%s made; at the end %d, of which rules hold %d, in %s, %s; at most %s.", count(p.Made, "point"),
		p.End.Points, p.End.Held, count(p.End.Chains, "chain"), plan.Bytes(p.End.Stored), plan.Bytes(p.Peak)))
	p.grid()
	p.lives()
	p.bytes()
	p.legend()
}

// grid marks months, or what fits.
func (p panel) grid() {
	months := int(p.until.Sub(p.from).Hours()/24/30)/12 + 1
	for t := time.Date(p.from.Year(), p.from.Month()+1, 1, 0, 0, 0, 0, time.UTC); t.Before(p.until); t = t.AddDate(0, months, 0) {
		x := p.x(t)
		p.printf("<path class=\"axis\" d=\"M%.1f %dV%d\"/>\n", x, lifeTop, byteTop+byteHeight)
		p.text("small", x, byteTop+byteHeight+14, "middle", t.Format("2006-01"))
	}
	p.text("small", plotLeft-8, lifeTop+10, "end", p.first.Format(time.DateOnly))
	p.text("small", plotLeft-8, lifeTop+lifeHeight/2, "end", "points by")
	p.text("small", plotLeft-8, lifeTop+lifeHeight/2+14, "end", "their start")
	p.text("small", plotLeft-8, lifeTop+lifeHeight, "end", p.until.Format(time.DateOnly))
	p.text("small", plotLeft-8, byteTop+10, "end", plan.Bytes(p.top()))
	p.text("small", plotLeft-8, byteTop+byteHeight, "end", "0 B")
}

// top is the upper end of the axis of bytes.
func (p panel) top() int64 { return max(p.Most.Stored, 1) }

// lives draws a bar for each span of each point: what a rule holds over what it
// does not, and what lasts long over what does not.
func (p panel) lives() {
	all := slices.Clone(p.Lives)
	slices.SortStableFunc(all, func(a, b plan.Life) int { return cmp.Compare(lasted(a), lasted(b)) })
	height := max(lifeHeight/max(p.until.Sub(p.first).Hours()/24, 1)*0.8, 2)
	for _, held := range []bool{false, true} {
		for _, life := range all {
			for _, span := range life.Spans {
				x, class := p.x(span.From), ruleClass(span.Rule)
				width := p.x(span.Until) - x
				if width < 0.4 || held == (class == "chain") {
					continue
				}
				p.printf("<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%s, %s</title></rect>\n",
					class, x, p.y(life.Start)-height/2, width, height, shortTime(life.Start), html.EscapeString(span.Rule))
			}
		}
	}
}

func lasted(l plan.Life) time.Duration {
	return l.Spans[len(l.Spans)-1].Until.Sub(l.Spans[0].From)
}

// bytes draws what is stored at the end of each day.
func (p panel) bytes() {
	if len(p.Days) == 0 {
		return
	}
	p.printf("<path class=\"bytes\" d=\"M%d %d", plotLeft, byteTop+byteHeight)
	step := float64(plotWidth) / float64(len(p.Days))
	for n, d := range p.Days {
		p.printf("L%.1f %.1f", plotLeft+step*float64(n+1), byteTop+byteHeight-byteHeight*float64(d.Stored)/float64(p.top()))
	}
	p.printf("V%dZ\"/>\n", byteTop+byteHeight)
	p.text("small", plotLeft-8, byteTop+byteHeight/2+4, "end", "stored")
}

// legend names the colours that are there.
func (p panel) legend() {
	there := map[string]bool{}
	for _, life := range p.Lives {
		for _, span := range life.Spans {
			there[ruleClass(span.Rule)] = true
		}
	}
	x := float64(plotLeft)
	for _, class := range ruleClasses() {
		if !there[class[0]] {
			continue
		}
		p.printf("<rect class=\"%s\" x=\"%.0f\" y=\"%d\" width=\"10\" height=\"10\"/>\n", class[0], x, byteTop+byteHeight+22)
		p.text("small", x+14, byteTop+byteHeight+31, "start", class[1])
		x += 30 + 7*float64(len(class[1]))
	}
}
