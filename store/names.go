package store

import (
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	idShape         = regexp.MustCompile(`^[0-9a-f]{8}$`)
	uuidShape       = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	folderShape     = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*-[0-9a-f]{8}$`)
	chainShape      = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}$`)
	checkpointShape = regexp.MustCompile(`^vbk-([0-9a-f]{8})-([0-9]{8}T[0-9]{6}Z-[0-9a-f]{4})-([0-9a-f]{8})\.(0|[1-9][0-9]{0,8})$`)
	streamShape     = regexp.MustCompile(`^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\.(?:full|inc|copy)\.(vbk-[0-9a-f]{8}-[^/]+)\.data(?:\.chksum)?|vmconfig\.(vbk-[0-9a-f]{8}-[^/]+)\.xml)$`)
	dataShape       = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*\.(?:base|inc)\.(0|[1-9][0-9]{0,8})\.([0-9a-f]{8})\.v3$`)
	extraShape      = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})\.([0-9a-f]{8})\.[A-Za-z0-9][A-Za-z0-9._-]*$`)
	manifestShape   = regexp.MustCompile(`^chain\.([0-9]{6,9})\.json$`)
)

// maxNameLength bounds the part of a file name that comes from a domain or a
// disk, so that the whole stays below the 255 bytes of common file systems.
const maxNameLength = 180

// NewID draws 8 hex digits: the id of a store, or of an attempt.
func NewID(random io.Reader) (string, error) { return drawHex(random, 4) }

func drawHex(random io.Reader, n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("draw random digits: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// IsID says whether s has the shape of NewID.
func IsID(s string) bool { return idShape.MatchString(s) }

// FolderName is the name of a domain's folder at its birth:
// "web01-4c1f9d2a", the domain's name and the first 8 digits of its UUID.
func FolderName(domain, uuid string) string {
	return plain(domain) + "-" + strings.ToLower(uuid[:min(8, len(uuid))])
}

// IsFolderName says whether name has the shape of FolderName.
func IsFolderName(name string) bool { return folderShape.MatchString(name) }

// ChainName is the name of a chain that starts now, "20261122T013000Z-9f3c".
func ChainName(start time.Time, random io.Reader) (string, error) {
	digits, err := drawHex(random, 2)
	if err != nil {
		return "", err
	}
	return start.UTC().Format("20060102T150405Z") + "-" + digits, nil
}

// IsChainName says whether name has the shape of ChainName.
func IsChainName(name string) bool { return chainShape.MatchString(name) }

// CheckpointName is the name of the libvirt checkpoint of an attempt:
// "vbk-<store id>-<chain>-<attempt>.<sequence>".
func CheckpointName(storeID, chain, attempt string, sequence int) string {
	return fmt.Sprintf("vbk-%s-%s-%s.%d", storeID, chain, attempt, sequence)
}

// ParseCheckpoint takes a name of CheckpointName apart; ok is false for any
// other name.
func ParseCheckpoint(name string) (storeID, chain, attempt string, sequence int, ok bool) {
	m := checkpointShape.FindStringSubmatch(name)
	if m == nil {
		return "", "", "", 0, false
	}
	sequence, _ = strconv.Atoi(m[4]) // at most 9 digits
	return m[1], m[2], m[3], sequence, true
}

// DataFileName is the name of a disk's file in a chain's folder,
// "vda.inc.1.77e0c2f4.v3".
func DataFileName(target string, base bool, sequence int, attempt string) string {
	kind := "inc"
	if base {
		kind = "base"
	}
	return fmt.Sprintf("%s.%s.%d.%s.v3", plain(target), kind, sequence, attempt)
}

// ExtraFileName is the name of another file of a point, such as
// "1.77e0c2f4.domain.xml"; what is its last part.
func ExtraFileName(sequence int, attempt, what string) string {
	return fmt.Sprintf("%d.%s.%s", sequence, attempt, plain(what))
}

// StreamFileName is the name of a disk's file in a chain of another stream than
// v3, "vda.inc.CHECKPOINT.data". virtnbdrestore takes all files that begin with
// the target and end in .data, and wants "full" or "copy" in the name of the
// first. checkpoint is a CheckpointName, so that no two attempts share a name.
func StreamFileName(target, kind, checkpoint string) string {
	return fmt.Sprintf("%s.%s.%s.data", plain(target), kind, checkpoint)
}

// ChecksumFileName is the name of the Adler-32 of a file of StreamFileName.
func ChecksumFileName(file string) string { return file + ".chksum" }

// ConfigFileName is the name of the domain's XML in a chain of another stream
// than v3, where virtnbdrestore looks for it.
func ConfigFileName(checkpoint string) string { return "vmconfig." + checkpoint + ".xml" }

// DomainXML names the file with the domain's XML of a point; "" if it has none.
func (p Point) DomainXML() string {
	for _, f := range p.Files {
		if f.Name == ExtraFileName(p.Sequence, p.Attempt, "domain.xml") ||
			strings.HasPrefix(f.Name, "vmconfig.") && strings.HasSuffix(f.Name, ".xml") {
			return f.Name
		}
	}
	return ""
}

// ParseFileName returns the sequence and the attempt in a name of
// DataFileName, StreamFileName, ChecksumFileName, ConfigFileName or
// ExtraFileName; ok is false for any other name, which is then not a file of
// ours.
func ParseFileName(name string) (sequence int, attempt string, ok bool) {
	if m := streamShape.FindStringSubmatch(name); m != nil {
		_, _, attempt, sequence, ok = ParseCheckpoint(m[1] + m[2])
		return sequence, attempt, ok
	}
	m := dataShape.FindStringSubmatch(name)
	if m == nil {
		m = extraShape.FindStringSubmatch(name)
	}
	if m == nil {
		return 0, "", false
	}
	sequence, _ = strconv.Atoi(m[1])
	return sequence, m[2], true
}

// ManifestName is the name of a chain's manifest, "chain.000017.json".
func ManifestName(number int) string { return fmt.Sprintf("chain.%06d.json", number) }

// ParseManifestName returns the number in a name of ManifestName.
func ParseManifestName(name string) (number int, ok bool) {
	m := manifestShape.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	number, _ = strconv.Atoi(m[1])
	return number, number > 0 && ManifestName(number) == name
}

// RecordName is the name of a record in the folders of verifications and of
// outcomes, "17.json": the highest number counts.
func RecordName(number int) string { return strconv.Itoa(number) + ".json" }

// ParseRecordName returns the number in a name of RecordName.
func ParseRecordName(name string) (number int, ok bool) {
	digits, ok := strings.CutSuffix(name, ".json")
	number, err := strconv.Atoi(digits)
	return number, ok && err == nil && number > 0 && name == RecordName(number)
}

// plain maps a name from outside to [A-Za-z0-9._-], without a leading dot.
func plain(name string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, name)
	s = s[:min(len(s), maxNameLength)]
	if s == "" || s[0] == '.' {
		s = "_" + s[min(1, len(s)):]
	}
	return s
}

// IsPlainFileName says whether a name from a manifest may be joined to the
// path of a chain's folder: not empty, not hidden, no separator, nothing that
// does not print, and none of the names that the store keeps for itself.
func IsPlainFileName(name string) bool {
	if name == "" || len(name) > 255 || name[0] == '.' || name == "lock" || !utf8.ValidString(name) {
		return false
	}
	if _, reserved := ParseManifestName(name); reserved {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r == '/' || r == '\\' || !strconv.IsPrint(r)
	})
}
