//go:build bench

package bench

import (
	"context"

	"vbk/nbd"
)

// floor reads all data of an export, as vbk does, and throws it away: what no
// program that reads this export can undercut. This test binary does it when it is
// called with the word floor and a socket.
func floor(socket string) error {
	ctx := context.Background()
	c, err := nbd.Dial(ctx, socket, "vda", nbd.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Prime(ctx); err != nil {
		return err
	}
	extents, err := c.Extents(ctx, 0, c.Size())
	if err != nil {
		return err
	}
	const chunk = 1 << 20
	memory := make([]byte, 8*chunk)
	var reads []nbd.Read
	for _, e := range extents {
		for at, end := e.Offset, e.Offset+e.Length; at < end && !e.Zero; {
			k := len(reads)
			n := min(chunk, end-at)
			reads = append(reads, nbd.Read{Offset: at, Data: memory[k*chunk:][:n]})
			at += n
			if len(reads) < len(memory)/chunk {
				continue
			}
			if err := c.ReadBatch(ctx, reads); err != nil {
				return err
			}
			reads = reads[:0]
		}
	}
	return c.ReadBatch(ctx, reads)
}
