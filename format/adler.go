package format

import (
	"context"
	"fmt"
	"hash/adler32"
	"io"
	"strconv"
	"strings"
)

// CompareAdler compares all bytes of a file with the Adler-32 that lies beside it
// in a .chksum. An error is what is wrong with either, one of reading, or the
// context's.
func CompareAdler(ctx context.Context, file io.Reader, chksum []byte) error {
	want, err := strconv.ParseUint(strings.TrimSpace(string(chksum)), 10, 32)
	if err != nil {
		return fmt.Errorf("its .chksum holds %.40q, expected a number", chksum)
	}
	sum := adler32.New()
	buf := make([]byte, MaxChunk)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := file.Read(buf)
		_, _ = sum.Write(buf[:n]) // a hash takes everything
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if found := uint64(sum.Sum32()); found != want {
		return fmt.Errorf("its bytes have the Adler-32 %d, expected %d", found, want)
	}
	return nil
}

// adler is an Adler-32 (RFC 1950) as a number, which can be computed of parts: a
// raw image is written in any order.
type adler uint32

// adlerPart is the sum of a range.
type adlerPart struct {
	offset, length int64
	sum            adler
}

const adlerPrime = 65521

func adlerOf(p []byte) adler { return adler(adler32.Checksum(p)) }

// adlerOfZeroes is the sum of so many zeroes: each leaves the low half at 1 and
// adds that to the high half.
func adlerOfZeroes(length int64) adler { return adler(1 | length%adlerPrime<<16) }

// join is the sum of what a is of, followed by what b is of, which has length
// bytes.
func (a adler) join(b adler, length int64) adler {
	lowA, highA, lowB, highB := int64(a&0xffff), int64(a>>16), int64(b&0xffff), int64(b>>16)
	low := (lowA + lowB + adlerPrime - 1) % adlerPrime
	high := (highA + highB + length%adlerPrime*((lowA+adlerPrime-1)%adlerPrime)) % adlerPrime
	return adler(low | high<<16)
}
