package store

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"

	"github.com/zeebo/xxh3"
)

// MaxManifest bounds the bytes of an encoded manifest.
const MaxManifest = 64 << 20

const sumPrefix = "xxh3:"

// sumLine is the length of the last line, its newline included.
const sumLine = len(sumPrefix) + 32 + 1

var (
	hash64Shape  = regexp.MustCompile(`^[0-9a-f]{16}$`)
	hash128Shape = regexp.MustCompile(`^[0-9a-f]{32}$`)
	hashKeyShape = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Hash is the XXH3-128 of data in 32 hex digits, as manifests record it.
func Hash(data []byte) string {
	sum := xxh3.Hash128(data).Bytes()
	return hex.EncodeToString(sum[:])
}

// Encode returns the manifest as it is stored: indented JSON and a last line
// "xxh3:<32 hex digits>" over everything before it. It refuses a manifest that
// DecodeManifest would refuse.
func (m Manifest) Encode() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	if n := len(body) + 1 + sumLine; n > MaxManifest {
		return nil, fmt.Errorf("encode manifest: %d bytes, at most %d are allowed", n, MaxManifest)
	}
	return seal(body), nil
}

// seal adds a last line with a sum.
func seal(body []byte) []byte {
	body = append(body, '\n')
	return append(body, sumPrefix+Hash(body)+"\n"...)
}

// unseal refuses what has not the sum that it should have.
func unseal(data []byte) (body []byte, err error) {
	cut := len(data) - sumLine
	if cut < 1 || data[cut-1] != '\n' || !bytes.HasPrefix(data[cut:], []byte(sumPrefix)) || data[len(data)-1] != '\n' {
		return nil, errors.New("it was cut off or edited: its last line is not its sum")
	}
	want := string(data[cut+len(sumPrefix) : len(data)-1])
	if got := Hash(data[:cut]); got != want {
		return nil, fmt.Errorf("it was edited or damaged: its sum is %s, and %s is recorded", got, want)
	}
	return data[:cut], nil
}

// DecodeManifest reads what Encode wrote. It refuses a wrong sum, an unknown
// format version, and every manifest whose names, sequences or parents
// contradict one another; fields it does not know are ignored.
func DecodeManifest(data []byte) (Manifest, error) {
	m, err := decodeManifest(data)
	if err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w", err)
	}
	return m, nil
}

func decodeManifest(data []byte) (m Manifest, err error) {
	if len(data) > MaxManifest {
		return m, fmt.Errorf("%d bytes, at most %d are allowed", len(data), MaxManifest)
	}
	body, err := unseal(data)
	if err != nil {
		return m, err
	}
	err = json.Unmarshal(body, &m)
	if m.FormatVersion != FormatVersion { // the rest may well be of other types then
		return m, fmt.Errorf("format version %d, this vbk knows %d", m.FormatVersion, FormatVersion)
	}
	if err != nil {
		return m, err
	}
	return m, m.validate()
}

// validate says what in a manifest contradicts format or itself.
func (m Manifest) validate() error {
	switch {
	case m.FormatVersion != FormatVersion:
		return fmt.Errorf("format version %d, this vbk knows %d", m.FormatVersion, FormatVersion)
	case m.Number < 1:
		return fmt.Errorf("number %d, the first is 1", m.Number)
	case !IsID(m.StoreID):
		return fmt.Errorf("store id %q is not 8 hex digits", m.StoreID)
	case !IsChainName(m.Chain):
		return fmt.Errorf("%q is not the name of a chain", m.Chain)
	case m.ChainNumber < 1:
		return fmt.Errorf("chain number %d, the first is 1", m.ChainNumber)
	case !uuidShape.MatchString(m.UUID):
		return fmt.Errorf("%q is not a UUID in lower case", m.UUID)
	case m.HashKey != "" && !hashKeyShape.MatchString(m.HashKey):
		return errors.New("hash key is not 64 hex digits")
	case m.Deleted && len(m.Points) > 0:
		return fmt.Errorf("deleted, but lists %d points", len(m.Points))
	case m.Stream != V3 && m.Stream != VirtNBDBackup && m.Stream != Raw:
		return fmt.Errorf("its files are of stream %q, which vbk %s wrote and this version does not know", m.Stream, m.Version)
	}
	seen := census{stream: m.Stream, points: map[int]Point{}, names: map[string]use{}, attempts: map[string]bool{}}
	for i, p := range m.Points {
		if i > 0 && p.Sequence <= m.Points[i-1].Sequence {
			return fmt.Errorf("point %d follows point %d", p.Sequence, m.Points[i-1].Sequence)
		}
		if err := seen.add(p); err != nil {
			return fmt.Errorf("point %d: %w", p.Sequence, err)
		}
	}
	return nil
}

// census is what the points seen so far have used up.
type census struct {
	stream   Stream
	points   map[int]Point
	names    map[string]use
	attempts map[string]bool
	bytes    int64
}

// use is what a manifest names a file for.
type use int

const (
	content use = 1 << iota // of a disk, or another file of a point
	shared                  // it holds chunks of other files
	extra                   // it is no file of a disk
)

func (c *census) add(p Point) error {
	if err := c.place(p); err != nil {
		return err
	}
	targets := map[string]bool{}
	for _, d := range p.Disks {
		if err := c.addDisk(d, c.points[p.Parent]); err != nil {
			return fmt.Errorf("disk %q: %w", d.Target, err)
		}
		if targets[d.Target] {
			return fmt.Errorf("disk %q is listed twice", d.Target)
		}
		targets[d.Target] = true
	}
	for _, f := range p.Files {
		if !hash128Shape.MatchString(f.Hash) {
			return fmt.Errorf("file %q: hash is not 32 hex digits", f.Name)
		}
		if err := c.addFile(f.Name, content|extra, f.Size); err != nil {
			return err
		}
	}
	c.points[p.Sequence], c.attempts[p.Attempt] = p, true
	return nil
}

// place says what is wrong with a point's identity and its place in the chain.
func (c *census) place(p Point) error {
	parent, ok := c.points[p.Parent]
	switch {
	case p.Sequence < 0:
		return errors.New("negative sequence")
	case !IsID(p.Attempt):
		return fmt.Errorf("attempt %q is not 8 hex digits", p.Attempt)
	case c.attempts[p.Attempt]:
		return fmt.Errorf("attempt %s is used twice", p.Attempt)
	case p.Kind != Full && p.Kind != Increment && p.Kind != Resync:
		return fmt.Errorf("unknown kind %q", p.Kind)
	case p.Kind == Full && p.Parent != -1:
		return fmt.Errorf("a full with parent %d", p.Parent)
	case p.Kind != Full && !ok:
		return fmt.Errorf("parent %d is not listed before it", p.Parent)
	case parent.Leaf:
		return fmt.Errorf("builds on point %d, on which nothing may be built", p.Parent)
	case p.Merged < 0 || p.Merged > p.Sequence:
		return fmt.Errorf("has taken in %d points, and there can be %d", p.Merged, p.Sequence)
	}
	return nil
}

func (c *census) addDisk(d PointDisk, parent Point) error {
	switch {
	case d.Target == "":
		return errors.New("no target")
	case d.Size < 0 || d.Data < 0 || d.Stored < 0:
		return errors.New("negative size")
	case d.FooterHash != "" && !hash64Shape.MatchString(d.FooterHash):
		return errors.New("footer hash is not 16 hex digits")
	case d.RawImage && (c.stream == V3 || !d.Base || d.FileSize != d.Size):
		return errors.New("a raw image that is not the whole disk, or lies in a chain of v3 files")
	case !d.RawImage && c.stream == Raw:
		return errors.New("no raw image, in a chain of raw images")
	case len(d.Shares) > 0 && c.stream != V3:
		return errors.New("shares chunks, which only v3 files do")
	case len(d.Shares) > math.MaxUint16:
		return fmt.Errorf("shares chunks of %d files, at most %d are possible", len(d.Shares), math.MaxUint16)
	}
	if _, ok := parent.Disk(d.Target); !d.Base && !ok {
		return errors.New("needs its parent, which does not hold this disk")
	}
	slots := map[string]bool{d.File: true}
	for _, name := range d.Shares {
		if slots[name] {
			return fmt.Errorf("shares chunks of %s twice, or of itself", name)
		}
		slots[name] = true
		if err := c.addFile(name, shared, 0); err != nil {
			return err
		}
	}
	return c.addFile(d.File, content, d.FileSize)
}

// addFile notes what a file is named for. It is content once; others may share
// its chunks if it is a disk's.
func (c *census) addFile(name string, as use, size int64) error {
	before := c.names[name]
	switch {
	case !IsPlainFileName(name):
		return fmt.Errorf("%q is not a plain file name", name)
	case before&as&content != 0, (before|as)&(shared|extra) == shared|extra:
		return fmt.Errorf("file %s is named twice", name)
	case size < 0 || size > math.MaxInt64-c.bytes:
		return fmt.Errorf("file %s: size %d is out of range", name, size)
	}
	c.names[name] = before | as
	c.bytes += size
	return nil
}

// Encode returns the content of vbk.json.
func (m Mark) Encode() ([]byte, error) {
	if m.FormatVersion != FormatVersion || !IsID(m.ID) {
		return nil, fmt.Errorf("encode mark: version %d, id %q", m.FormatVersion, m.ID)
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode mark: %w", err)
	}
	return append(data, '\n'), nil
}

// DecodeMark reads what Mark.Encode wrote; it refuses an unknown version.
func DecodeMark(data []byte) (Mark, error) {
	var m Mark
	if err := json.Unmarshal(data, &m); err != nil {
		return Mark{}, fmt.Errorf("decode mark: %w", err)
	}
	if m.FormatVersion != FormatVersion {
		return Mark{}, fmt.Errorf("decode mark: %w: format version %d, this vbk knows %d", ErrOtherVersion, m.FormatVersion, FormatVersion)
	}
	if !IsID(m.ID) {
		return Mark{}, fmt.Errorf("decode mark: id %q is not 8 hex digits", m.ID)
	}
	return m, nil
}
