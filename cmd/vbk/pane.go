package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// pane is the lines at the bottom of a terminal that are drawn again and again.
type pane struct {
	out  io.Writer
	size func() (width, height int)

	mu     sync.Mutex
	shown  []string
	width  int // of the terminal when they were drawn
	frozen bool
}

// draw prints text, and the lines below it in place of those that are there. The
// cursor is at the beginning of the next line, or behind what a key has echoed there.
func (p *pane) draw(text string, lines []string, width int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen || text == "" && slices.Equal(lines, p.shown) {
		return
	}
	var frame strings.Builder
	frame.WriteString(p.wiped(width) + text)
	for _, l := range lines {
		frame.WriteString(l + "\n")
	}
	p.shown, p.width = lines, width
	_, _ = io.WriteString(p.out, frame.String()) // a terminal, as everything here
}

// wiped takes the lines away that are there. A terminal that has become narrower
// may have wrapped them, or not: there they stay, as nothing else may be lost.
func (p *pane) wiped(width int) string {
	switch n := len(p.shown); {
	case n == 0:
		return ""
	case width < p.width:
		return "\r\x1b[J"
	default:
		return fmt.Sprintf("\r\x1b[%dA\x1b[J", n)
	}
}

// aside has f print what does not come from here.
func (p *pane) aside(f func()) {
	width, _ := p.size()
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, p.wiped(width))
	p.shown = nil
	f()
}

// still keeps the lines from moving, whoever may be drawing them.
func (p *pane) still() {
	if p.mu.TryLock() {
		p.frozen = true
		p.mu.Unlock()
	}
}

// freeze prints text below the lines, which stay as they are from now on.
func (p *pane) freeze(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
	_, _ = io.WriteString(p.out, "\r\x1b[J"+strings.TrimPrefix(text, "\n"))
}
