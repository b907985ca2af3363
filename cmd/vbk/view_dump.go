package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"vbk/format"
	"vbk/plan"
)

// streamHeader is the header of a v1 or v2 file, with the names that v3 has.
type streamHeader struct {
	Disk        string    `json:"disk"`
	Size        int64     `json:"size"`
	Data        int64     `json:"data_bytes"`
	Date        time.Time `json:"date,omitzero"` // by the clock on the wall of its host
	DiskFormat  string    `json:"disk_format"`
	Checkpoint  string    `json:"checkpoint"`
	Parent      string    `json:"parent_checkpoint,omitempty"`
	Compressed  bool      `json:"compressed"`
	Incremental bool      `json:"incremental"`
}

func newStreamHeader(h format.StreamHeader) streamHeader {
	return streamHeader{Disk: h.Disk, Size: h.Size, Data: h.Data, Date: h.Date, DiskFormat: h.Format,
		Checkpoint: h.Checkpoint, Parent: h.Parent, Compressed: h.Compressed, Incremental: h.Incremental}
}

// printDump prints what a file says of itself.
func printDump(w io.Writer, d dumped) {
	fmt.Fprintf(w, "%s: %s, %s\n", d.File, d.Format, bytesOf(d.Size))
	var rows table
	row := func(name, message string, args ...any) { rows.row("  "+name, fmt.Sprintf(message, args...)) }
	switch h := d.Header.(type) {
	case format.Header:
		v3Rows(row, h)
	case streamHeader:
		streamRows(row, h)
	}
	for _, p := range d.Parts {
		row(p.Name, "%s at %d", bytesOf(p.Length), p.Offset)
	}
	if d.Counts != nil {
		countRows(row, d.Format, *d.Counts)
	}
	if len(d.Damage) == 0 {
		row("damage", "none")
	}
	for _, text := range d.Damage {
		row("damage", "%s", text)
	}
	rows.print(w, 0)
}

func v3Rows(row func(name, message string, args ...any), h format.Header) {
	row("domain", "%s, UUID %s", h.Domain, h.UUID)
	row("disk", "%s of %s, %s", h.Disk, strings.Join(h.Disks, ", "), bytesOf(h.Size))
	row("source", "%s", h.Source)
	row("point", "%s.%d, attempt %s, %s", h.Chain, h.Sequence, h.Attempt, h.Time.UTC().Format(time.RFC3339))
	row("store", "%s", h.StoreID)
	kind := "increment: ranges without an entry are its parent's"
	if h.Base {
		kind = "base: ranges without an entry are zero"
	}
	row("kind", "%s", kind)
	row("covers", "points %d to %d", h.Covers[0], h.Covers[1])
	row("hash key", "%s", h.HashKey)
	row("made by", "vbk %s, format version %d", h.Version, h.FormatVersion)
}

func streamRows(row func(name, message string, args ...any), h streamHeader) {
	row("disk", "%s, %s, %s", h.Disk, bytesOf(h.Size), cmp.Or(h.DiskFormat, "of unknown format"))
	row("checkpoint", "%s", h.Checkpoint)
	kind := "full"
	if h.Incremental {
		kind = "increment on " + h.Parent
	}
	row("kind", "%s", kind)
	date := "not readable"
	if !h.Date.IsZero() {
		date = h.Date.Format("2006-01-02 15:04:05") + " by its host's clock"
	}
	row("date", "%s", date)
	row("data", "%s by its header", bytesOf(h.Data))
}

func countRows(row func(name, message string, args ...any), kind string, c counts) {
	what := "frames"
	if kind == "v3" {
		what = "entries"
	}
	row(what, "%d data, %s; %d zero, %s", c.Data, bytesOf(c.DataBytes), c.Zero, bytesOf(c.ZeroBytes))
	ratio := ""
	if c.StoredBytes > 0 {
		ratio = fmt.Sprintf(", ratio %.2f", c.ratio())
	}
	row("stored", "%s%s", bytesOf(c.StoredBytes), ratio)
	switch {
	case c.FooterHash != "":
		row("footer hash", "%s", c.FooterHash)
	case c.Trailer == "comp":
		row("trailer", "comp: stored lengths of %d LZ4 frames", c.Pieces)
	default:
		row("trailer", "%s", c.Trailer)
	}
}

// bytesOf is "1.00 MiB (1048576 bytes)".
func bytesOf(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%s (%d bytes)", plan.Bytes(n), n)
}
