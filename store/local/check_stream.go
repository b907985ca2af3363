package local

import (
	"fmt"
	"io"
	"slices"

	"vbk/format"
	"vbk/store"
)

// fact is what a file says of itself and what the manifest says of it.
type fact struct {
	what       string
	have, want any
}

func compare(facts []fact, report func(format.Damage)) {
	for _, x := range facts {
		if x.have != x.want {
			report(format.Damage{Detail: fmt.Sprintf("%s is %v, the manifest says %v", x.what, x.have, x.want)})
		}
	}
}

// stream compares a stream of virtnbdbackup, or a raw image, with the manifest
// and, if every byte is to be read, with itself and the Adler-32 beside it.
func (c *checker) stream(r *Reader, p store.Point, d store.PointDisk, src Source, report func(format.Damage)) error {
	tail, err := format.TailHash(src, src.Size())
	if err != nil {
		report(format.DamageOf(err))
		return c.ctx.Err()
	}
	compare([]fact{{"hash of the last bytes", fmt.Sprintf("%016x", tail), d.FooterHash}}, report)
	if c.readData {
		if err := c.adler(r, p, d, src, report); err != nil {
			return err
		}
	}
	if d.RawImage {
		compare([]fact{{"virtual size", src.Size(), d.Size}}, report)
		return c.ctx.Err()
	}
	s, err := format.OpenStream(src, src.Size())
	if err != nil {
		report(format.DamageOf(err))
		return c.ctx.Err()
	}
	stored := int64(0)
	for _, e := range s.Entries() {
		stored += int64(e.Stored)
	}
	h := s.Header()
	compare([]fact{
		{"disk", h.Disk, d.Target}, {"base", !h.Incremental, d.Base}, {"virtual size", h.Size, d.Size},
		{"bytes of data", h.Data, d.Data}, {"stored bytes", stored, d.Stored},
	}, report)
	if !c.readData {
		return c.ctx.Err()
	}
	return s.Check(c.ctx, report)
}

// adler compares a file with the sum that the point has of it. Adopted files may
// have none.
func (c *checker) adler(r *Reader, p store.Point, d store.PointDisk, src Source, report func(format.Damage)) error {
	name := store.ChecksumFileName(d.File)
	if !slices.ContainsFunc(p.Files, func(f store.File) bool { return f.Name == name }) {
		return c.ctx.Err()
	}
	text, err := r.readFile(name)
	if err != nil { // damage is reported with the other files of the point
		if damage := format.DamageOf(err); damage.Unread != nil {
			report(damage)
		}
		return c.ctx.Err()
	}
	if err := format.CompareAdler(c.ctx, io.NewSectionReader(src, 0, src.Size()), text); err != nil && c.ctx.Err() == nil {
		report(format.DamageOf(err))
	}
	return c.ctx.Err()
}
