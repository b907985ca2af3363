package nbd

import "encoding/binary"

// done says that a request was done.
func (w *worker) done() error {
	if w.structured {
		return w.chunk(chunkDone, chunkNone, w.payload())
	}
	return w.simple(0, 0)
}

// fail says that a request was not done; what was sent of a reply is void.
func (w *worker) fail(errno uint32, why string) error {
	if !w.structured {
		return w.simple(errno, 0)
	}
	why = why[:min(len(why), maxName)]
	b := binary.BigEndian.AppendUint32(w.payload(), errno)
	b = binary.BigEndian.AppendUint16(b, uint16(len(why)))
	return w.chunk(chunkDone, chunkError, append(b, why...))
}

func (w *worker) hole(flags uint16, from, to int64) error {
	b := binary.BigEndian.AppendUint64(w.payload(), uint64(from))
	return w.chunk(flags, chunkHole, binary.BigEndian.AppendUint32(b, uint32(to-from)))
}

// payload is where that of a chunk is appended: behind the head room.
func (w *worker) payload() []byte { return w.room(minPayload)[:0] }

// minPayload is room for any but data and long lists.
const minPayload = 64

const (
	simpleHead = 16
	chunkHead  = 20
	dataHead   = chunkHead + 8
)

// simple sends a simple reply, with so many bytes of what was read.
func (w *worker) simple(errno uint32, length int64) error {
	w.room(length)
	b := w.buffer[headRoom-simpleHead : headRoom+length]
	binary.BigEndian.PutUint32(b, magicSimple)
	binary.BigEndian.PutUint32(b[4:], errno)
	binary.BigEndian.PutUint64(b[8:], w.cookie)
	return w.write(b)
}

// data sends so many bytes of what was read as a chunk.
func (w *worker) data(flags uint16, offset uint64, length int64) error {
	b := w.buffer[headRoom-dataHead : headRoom+length]
	w.putHead(b, flags, chunkData, len(b)-chunkHead)
	binary.BigEndian.PutUint64(b[chunkHead:], offset)
	return w.write(b)
}

// chunk sends one whose payload was appended to payload.
func (w *worker) chunk(flags, kind uint16, payload []byte) error {
	if headRoom+len(payload) > len(w.buffer) { // it has grown out of the buffer
		copy(w.room(int64(len(payload))), payload)
	}
	b := w.buffer[headRoom-chunkHead : headRoom+len(payload)]
	w.putHead(b, flags, kind, len(payload))
	return w.write(b)
}

func (w *worker) putHead(b []byte, flags, kind uint16, length int) {
	binary.BigEndian.PutUint32(b, magicStructured)
	binary.BigEndian.PutUint16(b[4:], flags)
	binary.BigEndian.PutUint16(b[6:], kind)
	binary.BigEndian.PutUint64(b[8:], w.cookie)
	binary.BigEndian.PutUint32(b[16:], uint32(length))
}

// write sends one reply, or one chunk of one, undivided.
func (w *worker) write(b []byte) error {
	w.send.Lock()
	defer w.send.Unlock()
	_, err := w.conn.Write(b)
	return err
}
