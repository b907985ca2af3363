package format

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/minio/highwayhash"
	"github.com/zeebo/xxh3"
)

// Key is the key of a chain's grain hashes. It is drawn at random once per
// chain, because a guest could construct collisions of a hash it can compute.
type Key [32]byte

// ParseKey reads a key of 64 hex digits, as header and manifest hold it.
func ParseKey(s string) (Key, error) {
	var k Key
	if len(s) != hex.EncodedLen(len(k)) {
		return k, fmt.Errorf("hash key has %d characters, expected %d", len(s), hex.EncodedLen(len(k)))
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil {
		return k, fmt.Errorf("hash key: %w", err)
	}
	return k, nil
}

// String returns the key as 64 hex digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// GrainHash is the HighwayHash-64 of one grain: at most Grain bytes, fewer only
// at the end of a disk.
func GrainHash(k Key, grain []byte) uint64 { return highwayhash.Sum64(grain, k[:]) }

// AppendHashes appends the hashes of the grains of p, which starts on a grain.
func AppendHashes(dst []uint64, k Key, p []byte) []uint64 {
	for len(p) > 0 {
		n := min(Grain, len(p))
		dst = append(dst, GrainHash(k, p[:n]))
		p = p[n:]
	}
	return dst
}

// IsZero says whether p holds nothing but zeroes.
func IsZero(p []byte) bool {
	if len(p) < 8 {
		for _, b := range p {
			if b != 0 {
				return false
			}
		}
		return true
	}
	// A slice that equals itself shifted by eight repeats its first eight bytes.
	return binary.LittleEndian.Uint64(p) == 0 && bytes.Equal(p[8:], p[:len(p)-8])
}

// sum128 is an XXH3-128 as the file holds it: low half, high half.
type sum128 [16]byte

func toSum(h xxh3.Uint128) (s sum128) {
	binary.LittleEndian.PutUint64(s[:8], h.Lo)
	binary.LittleEndian.PutUint64(s[8:], h.Hi)
	return s
}

func hash128(p []byte) sum128 { return toSum(xxh3.Hash128(p)) }
