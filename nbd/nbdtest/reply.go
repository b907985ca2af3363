package nbdtest

import "encoding/binary"

// Done is the flag of a reply's last chunk.
const Done = 1

// Chunk types (NBD protocol, "Structured reply types").
const (
	TypeNone        = 0
	TypeData        = 1
	TypeHole        = 2
	TypeStatus      = 5
	TypeError       = 1<<15 | 1
	TypeErrorOffset = 1<<15 | 2
)

// EIO is the protocol's number for an input/output error.
const EIO = 5

// Descriptor is an entry of block status: bytes, and the context's flags.
type Descriptor struct {
	Length, Flags uint32
}

// Chunk sends a chunk of a structured reply with any payload.
func (p *Peer) Chunk(r Request, flags, kind uint16, payload []byte) {
	p.chunk(r, flags, kind, payload, nil)
}

// chunk sends a payload in two parts, so that data need not be copied.
func (p *Peer) chunk(r Request, flags, kind uint16, head, data []byte) {
	b := binary.BigEndian.AppendUint32(nil, 0x668e33ef)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, r.Cookie)
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)+len(data)))
	p.Raw(append(b, head...))
	p.Raw(data)
}

// Simple sends a simple reply; errno 0 is success, and data follows as it is.
func (p *Peer) Simple(r Request, errno uint32, data []byte) {
	p.Raw(append(pack(uint32(0x67446698), errno, r.Cookie), data...))
}

// Data sends a chunk of data at an offset of the export.
func (p *Peer) Data(r Request, flags uint16, offset uint64, data []byte) {
	p.chunk(r, flags, TypeData, binary.BigEndian.AppendUint64(nil, offset), data)
}

// Hole sends a chunk that stands for zeroes at an offset of the export.
func (p *Peer) Hole(r Request, flags uint16, offset uint64, length uint32) {
	p.Chunk(r, flags, TypeHole, pack(offset, length))
}

// Status sends the block status of one context; a name that is not on offer has
// the id 0.
func (p *Peer) Status(r Request, flags uint16, context string, entries ...Descriptor) {
	payload := pack(p.export.offered(context))
	for _, e := range entries {
		payload = binary.BigEndian.AppendUint32(payload, e.Length)
		payload = binary.BigEndian.AppendUint32(payload, e.Flags)
	}
	p.Chunk(r, flags, TypeStatus, payload)
}

// Error sends an error chunk with a message.
func (p *Peer) Error(r Request, flags uint16, errno uint32, message string) {
	p.Chunk(r, flags, TypeError, append(pack(errno, uint16(len(message))), message...))
}

// OK ends a command that returns no data.
func (p *Peer) OK(r Request) {
	if p.structs {
		p.Chunk(r, Done, TypeNone, nil)
		return
	}
	p.Simple(r, 0, nil)
}

// Honest serves a disk in memory: everything is data, and nothing is dirty.
// Requests beyond its end panic: the client must not send them.
func Honest(disk []byte) Handler {
	return func(p *Peer, r Request) {
		area := disk[r.Offset : r.Offset+uint64(r.Length)]
		switch r.Type {
		case Read:
			if p.structs {
				p.Data(r, Done, r.Offset, area)
				return
			}
			p.Simple(r, 0, area)
			return
		case Write:
			copy(area, r.Data)
		case Zero:
			clear(area)
		case BlockStatus:
			for _, context := range p.asked {
				p.Status(r, 0, context, Descriptor{Length: r.Length})
			}
		}
		p.OK(r)
	}
}
