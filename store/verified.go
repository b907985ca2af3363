package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Verification is what was found when files of a chain were read, every byte of
// them. It stands beside the manifest and is no part of it: it says when somebody
// looked, and what to expect of a point.
type Verification struct {
	FormatVersion int        `json:"format_version"`
	Chain         string     `json:"chain"`
	Points        []Verified `json:"points"` // by sequence, rising
	Version       string     `json:"vbk_version"`
}

// Verified is when the files that a point has for itself were read; those of the
// points it builds on have their own.
type Verified struct {
	Sequence int       `json:"sequence"`
	Attempt  string    `json:"attempt"`
	Read     time.Time `json:"read"`
	Unread   bool      `json:"unread,omitempty"`   // not all of them were: since a merge, then Read is the age of the oldest data, or they could not be
	Problems []Problem `json:"problems,omitempty"` // found then; which points they cost follows from the manifest
}

// Update replaces what is known of some points, and forgets those that a manifest
// does not list any more.
func (v *Verification) Update(m Manifest, some []Verified) {
	all := map[int]Verified{}
	for _, p := range slices.Concat(v.Points, some) {
		all[p.Sequence] = p
	}
	v.Points = nil
	for _, p := range m.Points {
		if known, ok := all[p.Sequence]; ok && known.Attempt == p.Attempt {
			v.Points = append(v.Points, known)
		}
	}
}

// Verified is what is known of a point's own files; false if nobody has read them.
func (c Chain) Verified(p Point) (Verified, bool) {
	n, ok := slices.BinarySearchFunc(c.Verifications, p.Sequence, func(v Verified, sequence int) int { return v.Sequence - sequence })
	if !ok || c.Verifications[n].Attempt != p.Attempt {
		return Verified{}, false
	}
	return c.Verifications[n], true
}

// Partly is what is known of a point if not all of its files could be read: what was
// found in the others, and what was known before.
func (c Chain) Partly(p Point, v Verified) Verified {
	known, _ := c.Verified(p)
	for _, old := range known.Problems {
		if !slices.ContainsFunc(v.Problems, func(found Problem) bool { return found.File == old.File }) {
			v.Problems = append(v.Problems, old)
		}
	}
	v.Unread = true
	return v
}

// ReadAt is when the files of the point with this sequence were read; zero if never.
func (c Chain) ReadAt(sequence int) time.Time {
	n, ok := slices.BinarySearchFunc(c.Verifications, sequence, func(v Verified, sequence int) int { return v.Sequence - sequence })
	if !ok || c.Verifications[n].Unread {
		return time.Time{}
	}
	return c.Verifications[n].Read
}

// LastRead is when the point's own files were read last, or else written.
func (c Chain) LastRead(p Point) time.Time {
	if v, ok := c.Verified(p); ok {
		return v.Read
	}
	if p.End.IsZero() {
		return p.Start
	}
	return p.End
}

// Own says whether a file is one of the point's own.
func (p Point) Own(file string) bool {
	return slices.ContainsFunc(p.Disks, func(d PointDisk) bool { return d.File == file }) ||
		slices.ContainsFunc(p.Files, func(f File) bool { return f.Name == file })
}

// VerifiedFolder is the folder, in that of a chain, with its verifications.
const VerifiedFolder = "verified"

// Encode returns the verification as it is stored, with its sum like a manifest.
func (v Verification) Encode() ([]byte, error) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode verification: %w", err)
	}
	return seal(body), nil
}

// DecodeVerification reads what Encode wrote.
func DecodeVerification(data []byte) (v Verification, err error) {
	body, err := unseal(data)
	if err == nil {
		err = json.Unmarshal(body, &v)
	}
	if err == nil && v.FormatVersion != FormatVersion {
		err = fmt.Errorf("format version %d, this vbk knows %d", v.FormatVersion, FormatVersion)
	}
	if err == nil && !slices.IsSortedFunc(v.Points, func(a, b Verified) int { return a.Sequence - b.Sequence }) {
		err = errors.New("its points are in disorder")
	}
	if err != nil {
		return Verification{}, fmt.Errorf("decode verification: %w", err)
	}
	return v, nil
}
