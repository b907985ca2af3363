package nbdtest

import (
	"io"
	"slices"
)

// Magic numbers and replies (NBD protocol, "Fixed newstyle negotiation").
const (
	magicOption      = 0x49484156454F5054 // IHAVEOPT
	magicOptionReply = 0x3e889045565a9

	optionAbort       = 2
	optionGo          = 7
	optionStructured  = 8
	optionSetContexts = 10

	replyAck         = 1
	replyInfo        = 3
	replyContext     = 4
	replyUnsupported = 1<<31 | 1
	replyUnknown     = 1<<31 | 6

	infoExport = 0
	infoBlock  = 3

	maxOption = 1 << 16
)

// negotiate runs the handshake up to the first command.
func (p *Peer) negotiate() bool {
	const fixedNewstyle, noZeroes = 1, 2
	p.Raw([]byte("NBDMAGIC"))
	p.Raw(pack(uint64(magicOption), uint16(fixedNewstyle|noZeroes)))
	var flags uint32
	if !p.get(&flags) {
		return false
	}
	for {
		var head struct {
			Magic          uint64
			Option, Length uint32
		}
		if !p.get(&head) || head.Magic != magicOption || head.Length > maxOption {
			return false
		}
		data := make([]byte, head.Length)
		if _, err := io.ReadFull(p.in, data); err != nil {
			return false
		}
		switch head.Option {
		case optionAbort:
			p.option(head.Option, replyAck, nil)
			return false
		case optionStructured:
			p.structs = !p.export.Simple
			p.option(head.Option, choose(p.structs, replyAck, replyUnsupported), nil)
		case optionSetContexts:
			p.contexts(head.Option, data)
		case optionGo:
			if p.info(head.Option, data) {
				return true
			}
		default:
			p.option(head.Option, replyUnsupported, nil)
		}
	}
}

func choose(yes bool, a, b uint32) uint32 {
	if yes {
		return a
	}
	return b
}

func (p *Peer) option(option, reply uint32, data []byte) {
	p.Raw(append(pack(uint64(magicOptionReply), option, reply, uint32(len(data))), data...))
}

// word cuts a string with a 32-bit length off the front.
func word(b []byte) (string, []byte) {
	if len(b) < 4 {
		return "", nil
	}
	n := int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if n > len(b)-4 {
		return "", nil
	}
	return string(b[4 : 4+n]), b[4+n:]
}

func (p *Peer) contexts(option uint32, data []byte) {
	_, data = word(data) // the export
	if len(data) < 4 {
		p.option(option, replyUnsupported, nil)
		return
	}
	p.asked = nil
	for data = data[4:]; len(data) > 0; {
		var name string
		name, data = word(data)
		if id := p.export.offered(name); id != 0 && !slices.Contains(p.asked, name) {
			p.asked = append(p.asked, name)
			p.option(option, replyContext, append(pack(id), name...))
		}
	}
	p.option(option, replyAck, nil)
}

func (p *Peer) info(option uint32, data []byte) bool {
	if name, _ := word(data); name != Name {
		p.option(option, replyUnknown, nil)
		return false
	}
	flags := p.export.Flags
	if flags == 0 {
		flags = writeFlags
	}
	p.option(option, replyInfo, pack(uint16(infoExport), p.export.Size, flags))
	if p.export.MaxBlock != 0 {
		preferred := max(p.export.MinBlock, 4096)
		p.option(option, replyInfo, pack(uint16(infoBlock), p.export.MinBlock, preferred, p.export.MaxBlock))
	}
	p.option(option, replyAck, nil)
	return true
}
