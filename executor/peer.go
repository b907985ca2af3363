package executor

import (
	"fmt"
	"strings"

	"vbk/store"
)

// holds says why a disk at a point cannot be written to a chain for
// virtnbdbackup, whose restore takes every file of a disk in turn into an image
// of the first one's size.
func holds(m store.Manifest, p store.Point, d store.PointDisk) error {
	refuse := func(why string) error {
		return fmt.Errorf("point %d, disk %s: %s, and virtnbdrestore would restore something else: it needs a chain of its own", p.Sequence, d.Target, why)
	}
	for _, q := range m.Points {
		if q.Sequence >= p.Sequence {
			break
		}
		before, ok := q.Disk(d.Target)
		switch {
		case q.Sequence > p.Parent:
			return refuse(fmt.Sprintf("does not build on the point before it, %d", q.Sequence))
		case ok && d.Base:
			return refuse(fmt.Sprintf("stands alone, but point %d has the disk too", q.Sequence))
		case ok && d.Format == "raw":
			return refuse("is a raw image, of which only whole copies can be stored")
		case ok && before.Size != d.Size:
			return refuse(fmt.Sprintf("has %d bytes, and %d at point %d", d.Size, before.Size, q.Sequence))
		}
	}
	return nil
}

// apart says why virtnbdrestore would take files of one disk for those of
// another: it takes all whose names begin with the target.
func apart(targets []string) error {
	for _, a := range targets {
		for _, b := range targets {
			if a != b && strings.HasPrefix(b, a) {
				return fmt.Errorf("virtnbdrestore would take the files of disk %s for those of %s too", b, a)
			}
		}
	}
	return nil
}
