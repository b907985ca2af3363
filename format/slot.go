package format

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Slot is a file that holds chunks of another, which names it in Header.Files.
// Of such a file only header, footer and those chunks count.
type Slot struct {
	Name       string `json:"name"`        // in the folder that holds both
	Size       int64  `json:"size"`        // bytes of the file
	FooterHash string `json:"footer_hash"` // 16 hex digits
}

// maxSlots is how many files an entry can tell apart.
const maxSlots = 1<<16 - 1

// Opener opens a file of the folder in which the file lies that names it. Who
// passes an Opener closes what it opened.
type Opener func(name string) (r io.ReaderAt, size int64, err error)

var errNotOpened = errors.New("it was not opened")

// checkSlots applies the rules that a header's list of files must obey.
func checkSlots(files []Slot) error {
	if len(files) > maxSlots {
		return fmt.Errorf("chunks lie in %d other files, at most %d are possible", len(files), maxSlots)
	}
	seen := map[string]bool{}
	for _, s := range files {
		switch {
		case s.Name == "" || s.Name[0] == '.' || len(s.Name) > 255 || strings.ContainsAny(s.Name, "/\\\x00"):
			return fmt.Errorf("%q is not the name of a file with chunks", s.Name)
		case seen[s.Name]:
			return fmt.Errorf("file %s with chunks is named twice", s.Name)
		case s.Size < Align+footerSize || s.Size > maxSize:
			return fmt.Errorf("file %s with chunks has %d bytes, which is impossible", s.Name, s.Size)
		case len(s.FooterHash) != 16 || strings.Trim(s.FooterHash, "0123456789abcdef") != "":
			return fmt.Errorf("file %s with chunks: footer hash %q is not 16 hex digits", s.Name, s.FooterHash)
		}
		seen[s.Name] = true
	}
	return nil
}

// slotFile is a file of Header.Files as it was found.
type slotFile struct {
	Slot
	r        io.ReaderAt
	from, to int64 // where its chunks lie
	err      error // why none of them can be read
}

// openSlots opens what a header names. What is wrong with one of them is in its err.
func openSlots(h Header, open Opener) []slotFile {
	var files []slotFile
	for _, s := range h.Files {
		f := slotFile{Slot: s, err: errNotOpened}
		if open != nil {
			f.err = f.open(h, open)
		}
		files = append(files, f)
	}
	return files
}

// open wants the very file that was there when the header was written.
func (f *slotFile) open(h Header, open Opener) error {
	r, size, err := open(f.Name)
	if err != nil {
		return err
	}
	if size != f.Size {
		return fmt.Errorf("it has %d bytes, expected %d", size, f.Size)
	}
	foot, err := readFooter(r, size)
	if err != nil {
		return err
	}
	if found := fmt.Sprintf("%016x", foot.footerHash); found != f.FooterHash {
		return fmt.Errorf("its footer hash is %s, expected %s", found, f.FooterHash)
	}
	theirs, _, err := readHeader(r, foot.headerEnd)
	if err != nil {
		return err
	}
	if theirs.StoreID != h.StoreID || theirs.Chain != h.Chain || theirs.UUID != h.UUID || theirs.Disk != h.Disk || theirs.HashKey != h.HashKey {
		return fmt.Errorf("it is %s of %s, chain %s/%s, expected %s of %s, chain %s/%s with the same hash key",
			theirs.Disk, theirs.UUID, theirs.StoreID, theirs.Chain, h.Disk, h.UUID, h.StoreID, h.Chain)
	}
	f.r, f.from, f.to = r, foot.headerEnd, foot.hashes
	return nil
}

// self is the file as others see it that name its chunks.
func (f *File) self() slotFile {
	s := Slot{Size: f.footer.fileSize, FooterHash: fmt.Sprintf("%016x", f.footer.footerHash)}
	return slotFile{Slot: s, r: f.r, from: f.footer.headerEnd, to: f.footer.hashes}
}

// Range is a part of a file.
type Range struct{ Offset, Length int64 } // bytes

// Unused lists the ranges in which a file may hold chunks and none of the files
// given names one, all multiples of Align, in order: what may be punched out if
// no other file counts. A file that is damaged may name more than is known, so it
// is an error.
func Unused(name string, files ...*File) ([]Range, error) {
	var area, used []Range
	for _, f := range files {
		if len(f.Damage()) > 0 {
			return nil, f.Damage()[0].refuse(f.facts().name)
		}
		k := slices.IndexFunc(f.slots, func(s slotFile) bool { return s.Name == name })
		if k < 0 {
			continue
		}
		area = []Range{{f.slots[k].from, f.slots[k].to - f.slots[k].from}}
		for _, e := range f.index.entries {
			if int(e.Slot) == k+1 {
				used = append(used, e.span())
			}
		}
	}
	if len(area) == 0 {
		return nil, fmt.Errorf("no file names chunks in %s", name)
	}
	slices.SortFunc(used, func(a, b Range) int { return cmp.Compare(a.Offset, b.Offset) })
	return gaps(area[0], used), nil
}

// gaps is what sorted ranges leave of area.
func gaps(area Range, used []Range) []Range {
	var free []Range
	at, end := area.Offset, area.Offset+area.Length
	for _, u := range append(used, Range{Offset: end}) {
		if u.Offset > at {
			free = append(free, Range{at, u.Offset - at})
		}
		at = max(at, u.Offset+u.Length)
	}
	return free
}

// span is the part of the file that holds the entry's chunk, padding included.
func (e Entry) span() Range { return Range{e.FileOffset, padded(int64(e.Stored))} }
