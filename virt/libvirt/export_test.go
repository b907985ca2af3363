//go:build cgo

package libvirt

import "time"

// Look is for a domain that the list cannot have.
var Look = (*Host).look

// SideBySide is what Domains works with.
var SideBySide = sideBySide

// Impatient is the same connection with less patience.
func Impatient(h *Host, patience time.Duration) *Host {
	return &Host{lines: h.lines, patience: patience}
}

// Call is call without a result.
var Call = call[struct{}]
