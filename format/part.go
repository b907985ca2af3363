package format

import "io"

// Part is a section of a file.
type Part struct {
	Name           string // "header", "chunks", "hashes", "index", "footer"
	Offset, Length int64  // bytes of the file
}

// Parts lists the sections in their order in the file. The gap that aligns what
// follows belongs to the section before it.
func (f *File) Parts() []Part {
	starts := [...]int64{0, f.footer.headerEnd, f.footer.hashes, f.footer.index, f.footer.fileSize - footerSize, f.footer.fileSize}
	var parts []Part
	for i, name := range [...]string{"header", "chunks", "hashes", "index", "footer"} {
		parts = append(parts, Part{Name: name, Offset: starts[i], Length: starts[i+1] - starts[i]})
	}
	return parts
}

// ReadHeader reads the header of a file with this size in bytes, and nothing
// else: also of a file that was not completed, which Open refuses.
func ReadHeader(r io.ReaderAt, size int64) (Header, error) {
	h, _, err := readHeader(r, size)
	return h, err
}
