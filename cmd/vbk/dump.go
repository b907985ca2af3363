package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/format"
)

func (env *environment) dumpCommand() *cli.Command {
	return &cli.Command{
		Name: "dump", Usage: "show what stream files say of themselves, without reading their data", ArgsUsage: "FILE...",
		UsageText: "vbk dump [-json] FILE...",
		Description: "FILE is a disk of a point: a *.v3 of vbk, or a *.data of virtnbdbackup (v1, v2).\n\n" +
			"  vbk dump vda.base.0.3f2a1b0c.v3\n  vbk dump -json vda.full.data",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print a JSON object a line, one for each file"}},
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return errors.New("vbk dump needs at least one file")
			}
			return env.dump(c.Context, c.Args().Slice(), c.Bool("json"))
		},
	}
}

// dump goes on with the next file whatever one is like.
func (env *environment) dump(ctx context.Context, paths []string, asJSON bool) error {
	unknown, damaged := false, false
	for i, path := range paths {
		d := dumpFile(ctx, env.path(path))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.File = path
		unknown, damaged = unknown || d.Error != "", damaged || len(d.Damage) > 0
		switch {
		case asJSON:
			if err := json.NewEncoder(env.stdout).Encode(d); err != nil {
				return err
			}
		case d.Error != "":
			env.complain(fmt.Errorf("%s: %s", path, d.Error))
		default:
			if i > 0 {
				fmt.Fprintln(env.stdout)
			}
			printDump(env.stdout, d)
		}
	}
	switch {
	case unknown:
		return exit(exitUsage)
	case damaged:
		return exit(exitUnsound)
	}
	return nil
}

// dumped is what a file says of itself. Sizes are in bytes.
type dumped struct {
	File   string   `json:"file"`
	Size   int64    `json:"size"`
	Format string   `json:"format,omitempty"` // v1, v2, v3
	Error  string   `json:"error,omitempty"`  // it cannot be read, or is none of these
	Header any      `json:"header,omitempty"` // format.Header, streamHeader
	Parts  []part   `json:"parts,omitempty"`
	Counts *counts  `json:"counts,omitempty"`
	Damage []string `json:"damage"` // [] if there is none
}

type part struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// counts are of the entries of an index, or of the frames of a stream.
type counts struct {
	Data        int    `json:"data"`
	Zero        int    `json:"zero"`
	DataBytes   int64  `json:"data_bytes"` // of the disk
	ZeroBytes   int64  `json:"zero_bytes"` // of the disk
	StoredBytes int64  `json:"stored_bytes"`
	FooterHash  string `json:"footer_hash,omitempty"` // v3
	Pieces      int    `json:"pieces,omitempty"`      // LZ4 frames of a compressed stream
	Trailer     string `json:"trailer,omitempty"`     // of a stream: comp, or none
}

// ratio is how many bytes of the disk a stored one holds; 0 if none is stored.
func (c counts) ratio() float64 {
	if c.StoredBytes == 0 {
		return 0
	}
	return float64(c.DataBytes) / float64(c.StoredBytes)
}

// MarshalJSON adds the ratio.
func (c counts) MarshalJSON() ([]byte, error) {
	type plain counts
	return json.Marshal(struct {
		plain
		Ratio float64 `json:"ratio"`
	}{plain(c), c.ratio()})
}

func dumpFile(ctx context.Context, path string) dumped {
	d := dumped{Damage: []string{}}
	info, err := os.Stat(path) // first: to open a pipe would wait for its other end
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is no regular file")
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		d.Error = err.Error()
		return d
	}
	defer f.Close()
	d.Size = info.Size()
	var start [5]byte
	n, err := f.ReadAt(start[:], 0)
	switch {
	case err != nil && err != io.EOF:
		d.Error = err.Error()
	case string(start[:n]) == "VBK3 " || strings.HasSuffix(path, ".v3"):
		d.v3(ctx, f, filepath.Dir(path))
	default:
		d.stream(f)
	}
	return d
}

func (d *dumped) v3(ctx context.Context, r io.ReaderAt, dir string) {
	d.Format = "v3"
	var beside besides
	defer beside.close()
	f, err := format.OpenWith(r, d.Size, func(name string) (io.ReaderAt, int64, error) { return beside.open(filepath.Join(dir, name)) })
	if err != nil {
		d.wrong(format.DamageOf(err))
		if h, err := format.ReadHeader(r, d.Size); err == nil {
			d.Header = h
		}
		return
	}
	d.Header = f.Header()
	for _, p := range f.Parts() {
		d.Parts = append(d.Parts, part(p))
	}
	sum := f.Summary()
	d.Counts = &counts{StoredBytes: sum.Stored, FooterHash: fmt.Sprintf("%016x", sum.FooterHash)}
	for _, e := range f.Entries() {
		d.Counts.add(e.Zero, e.Length)
	}
	// Its only error is the context's, at which the command ends.
	_ = f.Check(ctx, false, d.wrong)
}

// wrong adds damage, unless it is that the file could not be read.
func (d *dumped) wrong(x format.Damage) {
	if x.Unread == nil {
		d.Damage = append(d.Damage, x.String())
	} else if d.Error == "" {
		d.Error = x.String()
	}
}

// besides are files in which the dumped one has chunks.
type besides []*os.File

func (b *besides) open(path string) (io.ReaderAt, int64, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is no regular file")
	}
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	*b = append(*b, f)
	return f, info.Size(), nil
}

func (b besides) close() {
	for _, f := range b {
		_ = f.Close() // it was only read
	}
}

func (c *counts) add(zero bool, length int64) {
	if zero {
		c.Zero, c.ZeroBytes = c.Zero+1, c.ZeroBytes+length
	} else {
		c.Data, c.DataBytes = c.Data+1, c.DataBytes+length
	}
}

func (d *dumped) stream(r io.ReaderAt) {
	h, err := format.ReadStreamHeader(r, d.Size)
	if errors.Is(err, format.ErrNoStream) {
		d.Error = "is neither a v3 file nor a stream of virtnbdbackup; a raw image has no mark by which to tell"
		return
	}
	if err != nil {
		d.Format = "stream"
		d.wrong(format.DamageOf(err))
		return
	}
	d.Format = fmt.Sprintf("v%d", h.Version)
	d.Header = newStreamHeader(h)
	s, err := format.OpenStream(r, d.Size)
	if err != nil {
		d.wrong(format.DamageOf(err))
		return
	}
	d.Counts = &counts{Trailer: "none"}
	if h.Compressed {
		d.Counts.Trailer = "comp"
	}
	for f, err := range s.Frames() {
		if err != nil { // it has changed since it was opened
			d.wrong(format.DamageOf(err))
			return
		}
		d.Counts.add(f.Zero, f.Length)
		d.Counts.StoredBytes += f.Stored
		d.Counts.Pieces += len(f.Pieces)
	}
}
