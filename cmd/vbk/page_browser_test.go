package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vbk/plan"
)

// TestPageInABrowser looks at the pages of 500 machines and of 60 in a real
// browser: on a desk and on a telephone, light and dark. VBK_SCREENSHOTS=DIR has
// it leave pictures there.
func TestPageInABrowser(t *testing.T) {
	b := newBrowser(t)
	for _, machines := range []int{500, 60} {
		file := filepath.Join(t.TempDir(), "status.html")
		text, s := fleetPage(t, machines)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, width := range []int{1280, 390} {
			for _, scheme := range []string{"light", "dark"} {
				name := fmt.Sprintf("%d machines, %d pixels, %s", machines, width, scheme)
				b.look(t, name, "file://"+file, width, scheme, len(s.Instances))
			}
		}
	}
}

func fleetPage(t *testing.T, machines int) (string, status) {
	t.Helper()
	cfg, have := fleet(t, machines)
	p, err := makePlan(cfg, have, plan.Options{Version: version}, vantage{now: have.Taken})
	if err != nil {
		t.Fatal(err)
	}
	s := statusOf(cfg, have, p)
	var text strings.Builder
	if err := writePage(&text, s, cfg, outlookOf(cfg, have, have.Taken)); err != nil {
		t.Fatal(err)
	}
	return text.String(), s
}

// sight is what the page looks like from inside.
type sight struct {
	Width    int      // of the window
	Scroll   int      // of what is in it
	Beyond   []string // elements that stick out of it
	Cards    int
	Finds    int      // cards left when a name is looked for
	Opened   bool     // a link of the overview opens its card
	Faint    []string // words that are hard to read
	Images   int      // that a name has made
	Smallest float64  // font, pixels
}

const lookAround = `(async () => {
  const sight = { Beyond: [], Faint: [], Smallest: 99, Cards: document.querySelectorAll("details.machine").length, Images: document.images.length }
  const overview = document.querySelector(".fleet a:last-child"), link = overview && overview.getAttribute("href")
  sight.Opened = true
  if (link) {
    overview.click()
    await new Promise(requestAnimationFrame)
    sight.Opened = document.querySelector(link).closest("details").open
  }
  const find = document.getElementById("find")
  find.value = "web-000"
  find.dispatchEvent(new Event("input"))
  sight.Finds = document.querySelectorAll("details.machine:not([hidden])").length
  find.value = ""
  find.dispatchEvent(new Event("input"))
  const some = [...document.querySelectorAll("details")].slice(0, 40)
  for (const d of some) d.open = true
  await new Promise(requestAnimationFrame)
  sight.Width = innerWidth
  sight.Scroll = document.documentElement.scrollWidth
  const rgb = text => (text.match(/[\d.]+/g) || []).map(Number)
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length == 3 || c[3] > 0) return c } return [255, 255, 255] }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let n, seen = 0; (n = walker.nextNode()) && seen < 4000;) {
    const e = n.parentElement
    if (!n.data.trim() || ["TITLE", "SCRIPT"].includes(e.tagName.toUpperCase()) || !e.checkVisibility()) continue
    seen++
    const range = document.createRange()
    range.selectNodeContents(n)
    const box = range.getBoundingClientRect()
    if (box.width && (box.right > innerWidth + 1 || box.left < -1)) sight.Beyond.push(n.data.trim().slice(0, 60))
    const style = getComputedStyle(e), fore = light(rgb(e.closest("svg") ? style.fill : style.color)), back = light(behind(e))
    const contrast = (Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05)
    if (contrast < 4.5) sight.Faint.push(contrast.toFixed(1) + " " + n.data.trim().slice(0, 40))
    sight.Smallest = Math.min(sight.Smallest, parseFloat(style.fontSize))
  }
  return sight
})()`

func (b *browser) look(t *testing.T, name, url string, width int, scheme string, cards int) {
	t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
	b.open(url)
	b.picture(name, "top")
	var s sight
	if err := json.Unmarshal(b.evaluate(lookAround), &s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	b.picture(name, "open")
	if len(s.Beyond) > 0 || s.Scroll > s.Width || s.Width != width {
		t.Errorf("%s: the window is %d wide, what is in it %d: %q", name, s.Width, s.Scroll, s.Beyond)
	}
	if s.Cards != cards || s.Finds != min(cards, 1) || !s.Opened || s.Images != 0 {
		t.Errorf("%s: %d cards of %d machines, %d found, opened %v, %d images", name, s.Cards, cards, s.Finds, s.Opened, s.Images)
	}
	if len(s.Faint) > 0 || s.Smallest < 11 {
		t.Errorf("%s: hard to read: %q, smallest %v pixels", name, s.Faint[:min(len(s.Faint), 9)], s.Smallest)
	}
	if len(b.heard) > 0 {
		t.Errorf("%s: the browser tells of %q", name, b.heard)
		b.heard = nil
	}
}

// picture leaves what is in the window for people to look at, if they ask.
func (b *browser) picture(name, when string) {
	dir := os.Getenv("VBK_SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	b.result(b.call("Page.captureScreenshot", nil), &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.NewReplacer(" ", "_", ",", "").Replace(name+" "+when)+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
