// Package formattest is a second reader of v3 files, made from docs/format.md
// alone. It shares no code with package format, so that a test in which both
// agree says that the page describes what is written: who has lost vbk, and kept
// the page, can restore.
//
//	disk, err := formattest.Restore(folder, []string{"vda.base.0.v3", "vda.inc.1.v3"})
//
// It is written to be read beside the page, in the page's order: file.go is one
// file, restore.go a stack of them. It holds everything in memory and checks
// whatever the page says a reader must reject.
package formattest
