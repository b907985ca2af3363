package nbd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Transmission (NBD protocol, "Transmission phase").
const (
	magicRequest    = 0x25609513
	magicSimple     = 0x67446698
	magicStructured = 0x668e33ef

	cmdRead        = 0
	cmdWrite       = 1
	cmdDisconnect  = 2
	cmdFlush       = 3
	cmdTrim        = 4
	cmdZero        = 6
	cmdBlockStatus = 7

	cmdFUA    = 1 << 0
	cmdNoHole = 1 << 1
	cmdWhole  = 1 << 2 // NBD_CMD_FLAG_DF
	cmdOne    = 1 << 3 // NBD_CMD_FLAG_REQ_ONE

	canFlags     = 1 << 0
	isReadOnly   = 1 << 1
	canFlush     = 1 << 2
	canFUA       = 1 << 3
	canTrim      = 1 << 5
	canZero      = 1 << 6
	canWhole     = 1 << 7 // NBD_FLAG_SEND_DF
	canMultiConn = 1 << 8

	chunkDone   = 1
	chunkNone   = 0
	chunkData   = 1
	chunkHole   = 2
	chunkStatus = 5
	chunkError  = 1<<15 | 1

	stateHoleZero = 3 // NBD_STATE_HOLE and NBD_STATE_ZERO
)

// Errors of the protocol.
const (
	errnoPerm    = 1
	errnoIO      = 5
	errnoInvalid = 22
	errnoNoSpace = 28
)

// What the requests of one connection may hold in memory, and how many extents
// one answer has.
const (
	maxHeld    = maxRequest
	minCost    = 64 << 10
	replyPiece = 1 << 20 // a multiple of it is where pieces of a reply end
	maxExtents = 8192
)

func transmissionFlags(o *Offer, structured bool) uint16 {
	flags := uint16(canFlags | canMultiConn)
	if structured {
		flags |= canWhole
	}
	if _, writable := o.Disk.(WritableDisk); writable {
		return flags | canFlush | canFUA | canTrim | canZero
	}
	return flags | isReadOnly
}

// transmission is the part of a connection in which a disk is used.
type transmission struct {
	Offer
	server             *Server
	conn               net.Conn
	structured, status bool
	send               sync.Mutex
	held               *semaphore.Weighted // bytes
}

type command struct {
	flags, kind uint16
	cookie      uint64
	offset      uint64
	length      uint32
	data        []byte // of a write
}

// run reads requests and answers each in a goroutine of its own, as many as
// their memory allows.
func (t *transmission) run(ctx context.Context) {
	t.held = semaphore.NewWeighted(maxHeld)
	var pending sync.WaitGroup
	defer pending.Wait()
	for {
		r, err := t.read()
		if err != nil || r.kind == cmdDisconnect {
			return
		}
		cost := t.cost(r)
		if t.held.Acquire(ctx, cost) != nil {
			return
		}
		if r.kind == cmdWrite {
			r.data = make([]byte, r.length)
			if _, err := io.ReadFull(t.conn, r.data); err != nil {
				return
			}
		}
		pending.Go(func() {
			defer t.held.Release(cost)
			defer t.server.catch("serve " + t.Name)
			if err := t.answer(r); err != nil {
				_ = t.conn.Close() // a reply was cut off: nothing more can be said
			}
		})
	}
}

// read takes a request. One with data that is too long cannot be answered,
// because the data would have to be read.
func (t *transmission) read() (command, error) {
	var b [28]byte
	if _, err := io.ReadFull(t.conn, b[:]); err != nil {
		return command{}, err
	}
	if binary.BigEndian.Uint32(b[:]) != magicRequest {
		return command{}, errHangUp
	}
	r := command{
		flags: binary.BigEndian.Uint16(b[4:]), kind: binary.BigEndian.Uint16(b[6:]), cookie: binary.BigEndian.Uint64(b[8:]),
		offset: binary.BigEndian.Uint64(b[16:]), length: binary.BigEndian.Uint32(b[24:]),
	}
	if r.kind == cmdWrite && r.length > maxRequest {
		return command{}, errHangUp
	}
	return r, nil
}

// cost is the memory that a request takes, bytes.
func (t *transmission) cost(r command) int64 {
	whole := !t.structured || r.flags&cmdWhole != 0
	switch {
	case r.kind == cmdWrite, r.kind == cmdRead && whole && r.length <= maxRequest:
		return max(int64(r.length), minCost)
	case r.kind == cmdRead:
		return min(max(int64(r.length), minCost), replyPiece)
	}
	return minCost
}

// answer does one request. Its error is that of the connection.
func (t *transmission) answer(r command) (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.server.report(&PanicError{"serve " + t.Name, p, debug.Stack()})
			err = errHangUp
		}
	}()
	if errno, why := t.check(r); errno != 0 {
		return t.fail(r, errno, why)
	}
	switch r.kind {
	case cmdRead:
		if t.structured && r.flags&cmdWhole == 0 {
			return t.readPieces(r)
		}
		return t.readWhole(r)
	case cmdBlockStatus:
		return t.blockStatus(r)
	}
	if err := t.change(r, t.Disk.(WritableDisk)); err != nil {
		t.server.report(fmt.Errorf("serve %s: %w", t.Name, err))
		return t.fail(r, errnoIO, err.Error())
	}
	return t.done(r)
}

// check says what is wrong with a request.
func (t *transmission) check(r command) (errno uint32, why string) {
	_, writable := t.Disk.(WritableDisk)
	var allowed uint16
	switch r.kind {
	case cmdRead:
		if t.structured {
			allowed = cmdWhole
		}
	case cmdBlockStatus:
		allowed = cmdOne
		if !t.status {
			return errnoInvalid, "no context was chosen"
		}
	case cmdWrite, cmdTrim:
		allowed = cmdFUA
	case cmdZero:
		allowed = cmdFUA | cmdNoHole
	case cmdFlush:
		if r.offset != 0 || r.length != 0 {
			return errnoInvalid, "flush has no range"
		}
	default:
		return errnoInvalid, fmt.Sprintf("command %d is not known here", r.kind)
	}
	size := uint64(t.Disk.Size())
	switch {
	case r.kind != cmdRead && r.kind != cmdBlockStatus && !writable:
		return errnoPerm, "the export is read-only"
	case r.flags&^allowed != 0:
		return errnoInvalid, "flags are not known here"
	case r.kind == cmdRead && r.length > maxRequest:
		return errnoInvalid, fmt.Sprintf("at most %d bytes are read at a time", maxRequest)
	case r.kind != cmdFlush && (r.length == 0 || r.offset > size || uint64(r.length) > size-r.offset):
		if r.kind == cmdWrite || r.kind == cmdZero {
			return errnoNoSpace, "outside of the disk"
		}
		return errnoInvalid, "outside of the disk"
	}
	return 0, ""
}

func (t *transmission) change(r command, d WritableDisk) (err error) {
	switch r.kind {
	case cmdWrite:
		_, err = d.WriteAt(r.data, int64(r.offset))
	case cmdZero, cmdTrim:
		err = d.Zero(int64(r.offset), int64(r.length))
	}
	if err == nil && (r.kind == cmdFlush || r.flags&cmdFUA != 0) {
		err = d.Flush()
	}
	return err
}

// load reads a part of the disk, and tells an operator of what cannot be read.
func (t *transmission) load(p []byte, offset int64) error {
	n, err := t.Disk.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	err = fmt.Errorf("read %d bytes at %d: %w", len(p), offset, err)
	t.server.report(fmt.Errorf("serve %s: %w", t.Name, err))
	return err
}

// readWhole answers with the bytes in one piece.
func (t *transmission) readWhole(r command) error {
	p := make([]byte, r.length)
	if err := t.load(p, int64(r.offset)); err != nil {
		return t.fail(r, errnoIO, err.Error())
	}
	if !t.structured {
		return t.write(simpleHead(r, 0), p)
	}
	return t.chunk(r, chunkDone, chunkData, binary.BigEndian.AppendUint64(nil, r.offset), p)
}

var pieces = sync.Pool{New: func() any { p := make([]byte, replyPiece); return &p }}

// readPieces answers with holes and data as they come.
func (t *transmission) readPieces(r command) error {
	buffer := pieces.Get().(*[]byte)
	defer pieces.Put(buffer)
	end := int64(r.offset) + int64(r.length)
	for x := range t.Disk.Extents(int64(r.offset), int64(r.length)) {
		for at := x.Offset; at < x.Offset+x.Length; {
			next := x.Offset + x.Length
			head := binary.BigEndian.AppendUint64(nil, uint64(at))
			if x.Zero {
				head = binary.BigEndian.AppendUint32(head, uint32(next-at))
				if err := t.chunk(r, last(next, end), chunkHole, head, nil); err != nil {
					return err
				}
				at = next
				continue
			}
			next = min(next, (at/replyPiece+1)*replyPiece)
			p := (*buffer)[:next-at]
			if err := t.load(p, at); err != nil {
				return t.fail(r, errnoIO, err.Error())
			}
			if err := t.chunk(r, last(next, end), chunkData, head, p); err != nil {
				return err
			}
			at = next
		}
	}
	return nil
}

// last is the flag of the chunk that ends at next.
func last(next, end int64) uint16 {
	if next == end {
		return chunkDone
	}
	return 0
}

// blockStatus tells what reads as zeroes. Neighbours alike are one.
func (t *transmission) blockStatus(r command) error {
	b := binary.BigEndian.AppendUint32(nil, statusContext)
	var run Extent
	count := 0
	flush := func() {
		if run.Length > 0 {
			b = binary.BigEndian.AppendUint32(b, uint32(run.Length))
			b = binary.BigEndian.AppendUint32(b, map[bool]uint32{true: stateHoleZero}[run.Zero])
			count++
		}
	}
	for x := range t.Disk.Extents(int64(r.offset), int64(r.length)) {
		if run.Length > 0 && x.Zero == run.Zero && run.Length+x.Length <= math.MaxUint32 {
			run.Length += x.Length
			continue
		}
		flush()
		run = x
		if count == maxExtents || count == 1 && r.flags&cmdOne != 0 {
			run = Extent{}
			break
		}
	}
	flush()
	return t.chunk(r, chunkDone, chunkStatus, b, nil)
}

// done says that a request was done.
func (t *transmission) done(r command) error {
	if t.structured {
		return t.chunk(r, chunkDone, chunkNone, nil, nil)
	}
	return t.write(simpleHead(r, 0), nil)
}

// fail says that a request was not done; what was sent of a reply is void.
func (t *transmission) fail(r command, errno uint32, why string) error {
	if !t.structured {
		return t.write(simpleHead(r, errno), nil)
	}
	why = why[:min(len(why), maxName)]
	b := binary.BigEndian.AppendUint32(nil, errno)
	b = binary.BigEndian.AppendUint16(b, uint16(len(why)))
	return t.chunk(r, chunkDone, chunkError, append(b, why...), nil)
}

func simpleHead(r command, errno uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, magicSimple)
	b = binary.BigEndian.AppendUint32(b, errno)
	return binary.BigEndian.AppendUint64(b, r.cookie)
}

func (t *transmission) chunk(r command, flags, kind uint16, head, data []byte) error {
	b := binary.BigEndian.AppendUint32(nil, magicStructured)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, r.cookie)
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)+len(data)))
	return t.write(append(b, head...), data)
}

// write sends one reply, or one chunk of one, undivided.
func (t *transmission) write(head, data []byte) error {
	t.send.Lock()
	defer t.send.Unlock()
	buffers := net.Buffers{head, data}
	_, err := buffers.WriteTo(t.conn)
	return err
}
