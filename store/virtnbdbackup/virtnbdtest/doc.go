// Package virtnbdtest restores folders with the real virtnbdrestore, as an
// outside judge of what vbk writes for it. It needs no libvirtd. The program says
// that all is well whatever becomes of a disk, so that its word counts for
// nothing: what is in the images does.
package virtnbdtest
