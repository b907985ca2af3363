package format

import "sync"

// cache holds the chunks last decoded for an Image, for reads of less than a
// chunk: small ones, and those of streams whose chunks are 32 MiB.
type cache struct {
	mu    sync.Mutex
	slots []slot
	clock uint64
}

// cacheSize bounds the bytes that an Image keeps. Two chunks are kept whatever
// their size.
const cacheSize = 128 << 20

func newCache(longest int64) cache {
	return cache{slots: make([]slot, min(max(cacheSize/max(longest, 1), 2), 8))}
}

// slot holds one chunk. Who wants a chunk that another goroutine is decoding
// waits for that one.
type slot struct {
	assigned chunkID // these two are guarded by cache.mu
	used     uint64

	mu     sync.Mutex
	loaded chunkID // these two by mu
	chunk  []byte
}

// chunkID names an entry of an Image. The zero value names none.
type chunkID struct {
	layer, entry int32
	some         bool
}

// slot returns the one that holds the entry or is to hold it: the least
// recently used. Between this call and the lock of the slot's own mutex another
// may take it for another entry; so load looks again.
func (c *cache) slot(layer, entry int32) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := chunkID{layer, entry, true}
	best := &c.slots[0]
	for i := range c.slots {
		s := &c.slots[i]
		if s.assigned == id {
			best = s
			break
		}
		if s.used < best.used {
			best = s
		}
	}
	c.clock++
	best.assigned, best.used = id, c.clock
	return best
}

// load returns the decoded entry. The slot must be locked, and stay so while
// the result is in use.
func (s *slot) load(l Layer, layer, entry int32, e Entry) ([]byte, error) {
	id := chunkID{layer, entry, true}
	if s.loaded == id {
		return s.chunk[:e.Length], nil
	}
	s.loaded = chunkID{}
	if int64(len(s.chunk)) < e.Length {
		s.chunk = make([]byte, max(e.Length, MaxChunk))
	}
	if err := l.ReadChunk(e, s.chunk[:e.Length]); err != nil {
		return nil, err
	}
	s.loaded = id
	return s.chunk[:e.Length], nil
}
