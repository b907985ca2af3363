package nbd

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// Handshake (NBD protocol, "Fixed newstyle negotiation").
const (
	magicServer = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption = 0x49484156454f5054 // "IHAVEOPT"
	magicReply  = 0x3e889045565a9

	flagFixedNewstyle = 1 << 0
	flagNoZeroes      = 1 << 1
)

// Options.
const (
	optExportName     = 1
	optAbort          = 2
	optList           = 3
	optStartTLS       = 5
	optInfo           = 6
	optGo             = 7
	optStructured     = 8
	optListMeta       = 9
	optSetMeta        = 10
	infoExport        = 0
	infoName          = 1
	infoDescription   = 2
	infoBlockSize     = 3
	statusContext     = 1 // our id of base:allocation
	statusContextName = "base:allocation"
)

// Replies to options.
const (
	repAck         = 1
	repServer      = 2
	repInfo        = 3
	repMetaContext = 4
	errUnsupported = 1<<31 + 1
	errInvalid     = 1<<31 + 3
	errTLSRequired = 1<<31 + 5
	errUnknown     = 1<<31 + 6
	errTooBig      = 1<<31 + 9
)

// Bounds of a handshake.
const (
	maxOptions     = 256
	maxOptionBytes = 16 << 10
	maxName        = 4096
)

// Sizes of requests, bytes.
const (
	preferredRequest = 1 << 20
	maxRequest       = 32 << 20
)

// negotiation is the handshake with one client.
type negotiation struct {
	*Server
	conn       net.Conn
	noZeroes   bool
	secure     bool
	structured bool
	status     *Offer // for which base:allocation was chosen
}

// errHangUp ends a handshake without a word.
var errHangUp = errors.New("client breaks the protocol")

// run haggles until the client has chosen an offer; nil if it has gone.
func (n *negotiation) run(ctx context.Context) (*Offer, error) {
	hello := binary.BigEndian.AppendUint64(nil, magicServer)
	hello = binary.BigEndian.AppendUint64(hello, magicOption)
	hello = binary.BigEndian.AppendUint16(hello, flagFixedNewstyle|flagNoZeroes)
	if _, err := n.conn.Write(hello); err != nil {
		return nil, err
	}
	var flags [4]byte
	if _, err := io.ReadFull(n.conn, flags[:]); err != nil {
		return nil, err
	}
	chosen := binary.BigEndian.Uint32(flags[:])
	if chosen&^(flagFixedNewstyle|flagNoZeroes) != 0 || chosen&flagFixedNewstyle == 0 {
		return nil, errHangUp
	}
	n.noZeroes = chosen&flagNoZeroes != 0
	for range maxOptions {
		option, payload, err := n.read()
		if err != nil {
			return nil, err
		}
		offer, done, err := n.option(ctx, option, payload)
		if done || err != nil {
			return offer, err
		}
	}
	return nil, errHangUp
}

// read takes an option. One that is too long is skipped, and told.
func (n *negotiation) read() (option uint32, payload []byte, err error) {
	for range maxOptions {
		var head [16]byte
		if _, err := io.ReadFull(n.conn, head[:]); err != nil {
			return 0, nil, err
		}
		if binary.BigEndian.Uint64(head[:]) != magicOption {
			return 0, nil, errHangUp
		}
		option, length := binary.BigEndian.Uint32(head[8:]), binary.BigEndian.Uint32(head[12:])
		if length <= maxOptionBytes {
			payload = make([]byte, length)
			_, err = io.ReadFull(n.conn, payload)
			return option, payload, err
		}
		if length > maxRequest {
			return 0, nil, errHangUp
		}
		if _, err := io.CopyN(io.Discard, n.conn, int64(length)); err != nil {
			return 0, nil, err
		}
		if err := n.refuse(option, errTooBig, "option is too long"); err != nil {
			return 0, nil, err
		}
	}
	return 0, nil, errHangUp
}

// option answers one option; done says that haggling is over.
func (n *negotiation) option(ctx context.Context, option uint32, payload []byte) (chosen *Offer, done bool, err error) {
	if n.TLS != nil && !n.secure && option != optStartTLS && option != optAbort {
		if option == optExportName { // it has no way to be refused
			return nil, true, errHangUp
		}
		return nil, false, n.refuse(option, errTLSRequired, "begin TLS first")
	}
	switch option {
	case optAbort:
		return nil, true, n.reply(option, repAck, nil)
	case optExportName:
		chosen = n.find(string(payload))
		if chosen == nil {
			return nil, true, errHangUp
		}
		return chosen, true, n.begin(chosen)
	case optInfo, optGo:
		chosen, err = n.info(option, payload)
		return chosen, chosen != nil && option == optGo, err
	case optList:
		return nil, false, n.list(payload)
	case optStartTLS:
		return nil, false, n.startTLS(ctx, payload)
	case optStructured:
		if len(payload) != 0 {
			return nil, false, n.refuse(option, errInvalid, "structured replies take no argument")
		}
		n.structured = true
		return nil, false, n.reply(option, repAck, nil)
	case optListMeta, optSetMeta:
		return nil, false, n.contexts(option, payload)
	}
	return nil, false, n.refuse(option, errUnsupported, "option is not known here")
}

// begin ends the handshake in the old way, without an answer of its own.
func (n *negotiation) begin(o *Offer) error {
	b := binary.BigEndian.AppendUint64(nil, uint64(o.Disk.Size()))
	b = binary.BigEndian.AppendUint16(b, transmissionFlags(o, n.structured))
	if !n.noZeroes {
		b = append(b, make([]byte, 124)...)
	}
	_, err := n.conn.Write(b)
	return err
}

func (n *negotiation) list(payload []byte) error {
	if len(payload) != 0 {
		return n.refuse(optList, errInvalid, "list takes no argument")
	}
	for _, o := range n.Offers {
		entry := appendText(nil, o.Name)
		if err := n.reply(optList, repServer, append(entry, o.Description...)); err != nil {
			return err
		}
	}
	return n.reply(optList, repAck, nil)
}

// info answers INFO and GO.
func (n *negotiation) info(option uint32, payload []byte) (*Offer, error) {
	name, rest, ok := cutText(payload)
	if !ok || len(rest) < 2 || len(rest) != 2+2*int(binary.BigEndian.Uint16(rest)) {
		return nil, n.refuse(option, errInvalid, "malformed request for an export")
	}
	o := n.find(name)
	if o == nil {
		return nil, n.refuse(option, errUnknown, "no export of that name")
	}
	b := binary.BigEndian.AppendUint16(nil, infoExport)
	b = binary.BigEndian.AppendUint64(b, uint64(o.Disk.Size()))
	b = binary.BigEndian.AppendUint16(b, transmissionFlags(o, n.structured))
	if err := n.reply(option, repInfo, b); err != nil {
		return nil, err
	}
	for asked := rest[2:]; len(asked) > 0; asked = asked[2:] {
		if err := n.detail(option, binary.BigEndian.Uint16(asked), o); err != nil {
			return nil, err
		}
	}
	return o, n.reply(option, repAck, nil)
}

func (n *negotiation) detail(option uint32, kind uint16, o *Offer) error {
	b := binary.BigEndian.AppendUint16(nil, kind)
	switch kind {
	case infoName:
		b = append(b, o.Name...)
	case infoDescription:
		b = append(b, o.Description...)
	case infoBlockSize:
		for _, size := range []uint32{1, preferredRequest, maxRequest} {
			b = binary.BigEndian.AppendUint32(b, size)
		}
	default:
		return nil
	}
	return n.reply(option, repInfo, b)
}

func (n *negotiation) startTLS(ctx context.Context, payload []byte) error {
	if n.TLS == nil {
		return n.refuse(optStartTLS, errUnsupported, "this server has no TLS")
	}
	if len(payload) != 0 || n.secure {
		return n.refuse(optStartTLS, errInvalid, "TLS cannot begin here")
	}
	if err := n.reply(optStartTLS, repAck, nil); err != nil {
		return err
	}
	secured := tls.Server(n.conn, n.TLS)
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	// What was said in the clear may have been anybody's.
	n.conn, n.secure, n.structured, n.status = secured, true, false, nil
	return nil
}

// contexts answers what of block status there is: base:allocation.
func (n *negotiation) contexts(option uint32, payload []byte) error {
	if !n.structured {
		return n.refuse(option, errInvalid, "structured replies come first")
	}
	name, queries, ok := cutQueries(payload)
	if !ok {
		return n.refuse(option, errInvalid, "malformed query")
	}
	o := n.find(name)
	if o == nil {
		return n.refuse(option, errUnknown, "no export of that name")
	}
	matched := option == optListMeta && len(queries) == 0
	for _, q := range queries {
		matched = matched || q == statusContextName || option == optListMeta && q == strings.TrimSuffix(statusContextName, "allocation")
	}
	if option == optSetMeta {
		n.status = nil
	}
	if matched {
		var id uint32
		if option == optSetMeta {
			n.status, id = o, statusContext
		}
		b := binary.BigEndian.AppendUint32(nil, id)
		if err := n.reply(option, repMetaContext, append(b, statusContextName...)); err != nil {
			return err
		}
	}
	return n.reply(option, repAck, nil)
}

func (n *negotiation) reply(option, kind uint32, payload []byte) error {
	b := binary.BigEndian.AppendUint64(nil, magicReply)
	b = binary.BigEndian.AppendUint32(b, option)
	b = binary.BigEndian.AppendUint32(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	if _, err := n.conn.Write(append(b, payload...)); err != nil {
		return fmt.Errorf("answer option %d: %w", option, err)
	}
	return nil
}

func (n *negotiation) refuse(option, kind uint32, why string) error {
	return n.reply(option, kind, []byte(why))
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// cutText takes a length and so many bytes from the front.
func cutText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	length := binary.BigEndian.Uint32(b)
	if length > maxName || int(length) > len(b)-4 {
		return "", nil, false
	}
	return string(b[4 : 4+length]), b[4+length:], true
}

// cutQueries takes the payload of a query of contexts apart.
func cutQueries(b []byte) (name string, queries []string, ok bool) {
	name, b, ok = cutText(b)
	if !ok || len(b) < 4 {
		return "", nil, false
	}
	count := binary.BigEndian.Uint32(b)
	b = b[4:]
	for range count {
		var q string
		if q, b, ok = cutText(b); !ok {
			return "", nil, false
		}
		queries = append(queries, q)
	}
	return name, queries, len(b) == 0
}
