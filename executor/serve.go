package executor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"vbk/format"
	"vbk/nbd"
)

// Serving says what of a point is offered to NBD clients, and where.
type Serving struct {
	Disks    []string // targets; empty: all of the point
	Listener net.Listener
	Server   nbd.Server // its Offers are made here: one for each disk, named like its target
	Overlays string     // folder for what clients write; "": they may not
	Exact    string     // what names the point and no other: its disks are offered as Exact/TARGET, too; "": they are not
}

// Serve exports the disks of a point until ctx ends. The point is not changed:
// what clients write goes to files that are gone afterwards.
func Serve(ctx context.Context, p RestorePoint, s Serving) error {
	targets, err := chooseDisks(p.Targets(), s.Disks)
	if err != nil {
		return errors.Join(err, s.Listener.Close())
	}
	for _, target := range targets {
		image, err := p.OpenDisk(ctx, target)
		if err != nil {
			return errors.Join(fmt.Errorf("serve disk %s: %w", target, err), s.Listener.Close())
		}
		defer image.Close()
		offer := nbd.Offer{Name: target, Disk: servedImage{image.Image}}
		if s.Exact != "" {
			offer.Exact = s.Exact + "/" + target
		}
		if s.Overlays != "" {
			file, err := unnamed(s.Overlays)
			if err != nil {
				return errors.Join(fmt.Errorf("serve disk %s: make overlay: %w", target, err), s.Listener.Close())
			}
			defer file.Close()
			offer.Disk = nbd.NewOverlay(offer.Disk, file)
		}
		s.Server.Offers = append(s.Server.Offers, offer)
	}
	return s.Server.Serve(ctx, s.Listener)
}

// unnamed makes a file that is gone when it is closed, whatever happens.
func unnamed(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "vbk-overlay-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// servedImage gives an image the words of package nbd.
type servedImage struct{ *format.Image }

// Extent implements nbd.Disk.
func (i servedImage) Extent(offset, length int64) nbd.Extent {
	for x := range i.Image.Extents(offset, length) {
		return nbd.Extent{Offset: x.Offset, Length: x.Length, Zero: x.Zero}
	}
	return nbd.Extent{Offset: offset, Length: length} // outside of the disk, which no client may ask for
}
