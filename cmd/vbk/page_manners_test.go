package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPageManners: the page of no machine and of one; without scripts, on paper, and
// by the keyboard alone.
func TestPageManners(t *testing.T) {
	b := newBrowser(t)
	page := func(machines int) (string, status) {
		file := filepath.Join(t.TempDir(), "status.html")
		text, s := fleetPage(t, machines)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return "file://" + file, s
	}
	for machines, name := range []string{"no machine", "one machine"} {
		url, s := page(machines)
		b.look(t, name, url, 1280, "light", len(s.Instances))
		b.look(t, name+" on a telephone", url, 390, "dark", len(s.Instances))
	}
	url, s := page(60)
	b.keyboard(t, url, s)
	b.paper(t, url)
	b.withoutScripts(t, url)
	if len(b.heard) > 0 {
		t.Errorf("the browser tells of %q", b.heard)
	}
}

// stop is where the keyboard is.
type stop struct {
	Tag, Class string
	Outline    string
	Width      float64 // of the outline, pixels
}

// keyboard goes through the page by the tab key: it stops at machines that need
// attention and not at hundreds that do not, one sees where, and Enter unfolds.
func (b *browser) keyboard(t *testing.T, url string, s status) {
	t.Helper()
	b.open(url)
	press := func(key string, code int, text string) {
		for _, kind := range []string{"keyDown", "keyUp"} {
			b.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text})
		}
	}
	squares, troubled := 0, 0
	for _, m := range s.Instances {
		if !m.Fine() {
			troubled++
		}
	}
	for n := range 60 {
		press("Tab", 9, "")
		var at stop
		if err := json.Unmarshal(b.evaluate(`(() => { const e = document.activeElement, s = getComputedStyle(e)
			return { Tag: e.tagName, Class: e.closest(".fleet") ? "square" : e.closest(".machine") ? "machine" : "", Outline: s.outlineStyle, Width: parseFloat(s.outlineWidth) } })()`), &at); err != nil {
			t.Fatal(err)
		}
		if at.Outline == "none" || at.Width < 2 {
			t.Errorf("stop %d, %s %s, is not to be seen", n, at.Tag, at.Class)
		}
		if at.Class == "square" {
			squares++
		}
		if at.Tag == "SUMMARY" && at.Class == "machine" {
			break
		}
	}
	if squares != troubled || troubled == 0 {
		t.Errorf("the keyboard stops at %d squares, %d machines need attention", squares, troubled)
	}
	before := string(b.evaluate(`document.activeElement.parentElement.open`))
	press("Enter", 13, "\r")
	if after := string(b.evaluate(`document.activeElement.parentElement.open`)); after == before {
		t.Errorf("Enter leaves a machine as it was, open: %s", after)
	}
}

// paper prints the page: with its colours, without what only a screen can do.
func (b *browser) paper(t *testing.T, url string) {
	t.Helper()
	b.open(url)
	b.call("Emulation.setEmulatedMedia", map[string]any{"media": "print"})
	got := string(b.evaluate(`[getComputedStyle(document.querySelector(".fleet a")).printColorAdjust, document.getElementById("find").checkVisibility()].join(" ")`))
	if got != `"exact false"` {
		t.Errorf("on paper squares and search are %s", got)
	}
	b.picture("on paper", "top")
	var pdf struct{ Data string }
	b.result(b.call("Page.printToPDF", map[string]any{"printBackground": false}), &pdf)
	data, err := base64.StdEncoding.DecodeString(pdf.Data)
	if err != nil || !strings.HasPrefix(string(data), "%PDF") {
		t.Errorf("printed are %d bytes, %v", len(data), err)
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{"media": ""})
	if dir := os.Getenv("VBK_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "paper.pdf"), data, 0o644); err != nil {
			t.Error(err)
		}
	}
}

// withoutScripts: all is there but the search, and a link unfolds its machine.
func (b *browser) withoutScripts(t *testing.T, url string) {
	t.Helper()
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	b.open("about:blank") // else it is the same document, which is not loaded again
	b.open(url + "#m40")
	got := string(b.evaluate(`[document.getElementById("find").checkVisibility(), document.getElementById("stale").checkVisibility(), document.getElementById("m40").closest("details").open].join(" ")`))
	if got != `"false false true"` {
		t.Errorf("without scripts search, age and the machine of the link are visible: %s", got)
	}
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": false})
}
