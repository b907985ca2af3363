package nbd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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

// What the requests of one connection may hold in memory, how many are answered
// at a time, and how many extents one answer has. Few workers: their buffers stay
// in the processor's cache, and a client in order finds its disk read in order.
const (
	workers    = 4
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
	held               *semaphore.Weighted // bytes

	receive sync.Mutex
	in      *bufio.Reader
	over    bool // no request comes any more
	send    sync.Mutex
}

type command struct {
	flags, kind uint16
	cookie      uint64
	offset      uint64
	length      uint32
}

// worker answers one request after another. What it needs for that it keeps.
type worker struct {
	*transmission
	command
	cost   int64
	buffer []byte // headRoom, and what is read or written behind it
}

// headRoom is where the head of a reply stands, right before the data: one write
// sends both.
const headRoom = 64

// run answers requests until the client has no more.
func (t *transmission) run(ctx context.Context) {
	t.held, t.in = semaphore.NewWeighted(maxHeld), bufio.NewReader(t.conn)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			defer t.server.catch("serve " + t.Name)
			w := worker{transmission: t}
			for w.next(ctx) {
				if err := w.answer(); err != nil {
					_ = t.conn.Close() // a reply was cut off: nothing more can be said
				}
				w.release()
			}
		})
	}
	all.Wait()
}

// next takes a request from the connection, with its data. The workers take turns.
func (w *worker) next(ctx context.Context) bool {
	w.receive.Lock()
	defer w.receive.Unlock()
	if w.over || w.read() != nil || w.kind == cmdDisconnect {
		w.over = true
		return false
	}
	cost := w.price()
	if w.held.Acquire(ctx, cost) != nil {
		w.over = true
		return false
	}
	w.cost = cost
	if w.kind == cmdWrite {
		if _, err := io.ReadFull(w.in, w.room(int64(w.length))); err != nil {
			w.over = true
			w.release()
			return false
		}
	}
	return true
}

// room returns so many bytes of the worker's buffer.
func (w *worker) room(length int64) []byte {
	if need := headRoom + length; int64(len(w.buffer)) < need {
		w.buffer = make([]byte, max(need, headRoom+min(replyPiece, w.Disk.Size())))
	}
	return w.buffer[headRoom : headRoom+length]
}

// release gives back what a request held.
func (w *worker) release() {
	if len(w.buffer) > headRoom+replyPiece {
		w.buffer = nil
	}
	w.held.Release(w.cost)
}

// read takes a request. One with data that is too long cannot be answered,
// because the data would have to be read.
func (w *worker) read() error {
	b, err := w.in.Peek(28)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(b) != magicRequest {
		return errHangUp
	}
	w.command = command{
		flags: binary.BigEndian.Uint16(b[4:]), kind: binary.BigEndian.Uint16(b[6:]), cookie: binary.BigEndian.Uint64(b[8:]),
		offset: binary.BigEndian.Uint64(b[16:]), length: binary.BigEndian.Uint32(b[24:]),
	}
	if w.kind == cmdWrite && w.length > maxRequest {
		return errHangUp
	}
	_, err = w.in.Discard(28)
	return err
}

// price is the memory that a request takes, bytes.
func (w *worker) price() int64 {
	whole := !w.structured || w.flags&cmdWhole != 0
	switch {
	case w.kind == cmdWrite, w.kind == cmdRead && whole && w.length <= maxRequest:
		return max(int64(w.length), minCost)
	case w.kind == cmdRead:
		return min(max(int64(w.length), minCost), replyPiece)
	}
	return minCost
}

// answer does one request. Its error is that of the connection.
func (w *worker) answer() (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.server.report(&PanicError{"serve " + w.Name, p, debug.Stack()})
			err = errHangUp
		}
	}()
	if errno, why := w.check(); errno != 0 {
		return w.fail(errno, why)
	}
	switch w.kind {
	case cmdRead:
		if w.structured && w.flags&cmdWhole == 0 {
			return w.readPieces()
		}
		return w.readWhole()
	case cmdBlockStatus:
		return w.blockStatus()
	}
	if err := w.change(w.Disk.(WritableDisk)); err != nil {
		w.server.report(fmt.Errorf("serve %s: %w", w.Name, err))
		return w.fail(errnoIO, err.Error())
	}
	return w.done()
}

// check says what is wrong with a request.
func (w *worker) check() (errno uint32, why string) {
	_, writable := w.Disk.(WritableDisk)
	var allowed uint16
	switch w.kind {
	case cmdRead:
		if w.structured {
			allowed = cmdWhole
		}
	case cmdBlockStatus:
		allowed = cmdOne
		if !w.status {
			return errnoInvalid, "no context was chosen"
		}
	case cmdWrite, cmdTrim:
		allowed = cmdFUA
	case cmdZero:
		allowed = cmdFUA | cmdNoHole
	case cmdFlush:
		if w.offset != 0 || w.length != 0 {
			return errnoInvalid, "flush has no range"
		}
	default:
		return errnoInvalid, fmt.Sprintf("command %d is not known here", w.kind)
	}
	size := uint64(w.Disk.Size())
	switch {
	case w.kind != cmdRead && w.kind != cmdBlockStatus && !writable:
		return errnoPerm, "the export is read-only"
	case w.flags&^allowed != 0:
		return errnoInvalid, "flags are not known here"
	case w.kind == cmdRead && w.length > maxRequest:
		return errnoInvalid, fmt.Sprintf("at most %d bytes are read at a time", maxRequest)
	case w.kind != cmdFlush && (w.length == 0 || w.offset > size || uint64(w.length) > size-w.offset):
		if w.kind == cmdWrite || w.kind == cmdZero {
			return errnoNoSpace, "outside of the disk"
		}
		return errnoInvalid, "outside of the disk"
	}
	return 0, ""
}

func (w *worker) change(d WritableDisk) (err error) {
	switch w.kind {
	case cmdWrite:
		_, err = d.WriteAt(w.room(int64(w.length)), int64(w.offset))
	case cmdZero, cmdTrim:
		err = d.Zero(int64(w.offset), int64(w.length))
	}
	if err == nil && (w.kind == cmdFlush || w.flags&cmdFUA != 0) {
		err = d.Flush()
	}
	return err
}

// load reads a part of the disk, and tells an operator of what cannot be read.
func (w *worker) load(p []byte, offset int64) error {
	n, err := w.Disk.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	err = fmt.Errorf("read %d bytes at %d: %w", len(p), offset, err)
	w.server.report(fmt.Errorf("serve %s: %w", w.Name, err))
	return err
}

// readWhole answers with the bytes in one piece.
func (w *worker) readWhole() error {
	if err := w.load(w.room(int64(w.length)), int64(w.offset)); err != nil {
		return w.fail(errnoIO, err.Error())
	}
	if !w.structured {
		return w.simple(0, int64(w.length))
	}
	return w.data(chunkDone, w.offset, int64(w.length))
}

// readPieces answers with holes and data as they come.
func (w *worker) readPieces() error {
	end := int64(w.offset) + int64(w.length)
	for at := int64(w.offset); at < end; {
		x := w.Disk.Extent(at, end-at)
		next := x.Offset + x.Length
		if x.Zero {
			if err := w.hole(last(next, end), at, next); err != nil {
				return err
			}
			at = next
			continue
		}
		next = min((at/replyPiece+1)*replyPiece, end)
		if next > x.Offset+x.Length { // data that touches data is one
			next = w.dataEnd(x.Offset+x.Length, next)
		}
		if err := w.load(w.room(next-at), at); err != nil {
			return w.fail(errnoIO, err.Error())
		}
		if err := w.data(last(next, end), uint64(at), next-at); err != nil {
			return err
		}
		at = next
	}
	return nil
}

// dataEnd is where zeroes begin behind at, or else the limit.
func (w *worker) dataEnd(at, limit int64) int64 {
	for at < limit {
		x := w.Disk.Extent(at, limit-at)
		if x.Zero {
			break
		}
		at += x.Length
	}
	return at
}

// last is the flag of the chunk that ends at next.
func last(next, end int64) uint16 {
	if next == end {
		return chunkDone
	}
	return 0
}

// blockStatus tells what reads as zeroes. Neighbours alike are one.
func (w *worker) blockStatus() error {
	b := binary.BigEndian.AppendUint32(w.payload(), statusContext)
	end := int64(w.offset) + int64(w.length)
	most := maxExtents
	if w.flags&cmdOne != 0 {
		most = 1
	}
	for at := int64(w.offset); at < end && most > 0; most-- {
		run := w.Disk.Extent(at, end-at)
		for at = run.Offset + run.Length; at < end; {
			x := w.Disk.Extent(at, end-at)
			if x.Zero != run.Zero {
				break
			}
			at += x.Length
		}
		state := uint32(0)
		if run.Zero {
			state = stateHoleZero
		}
		b = binary.BigEndian.AppendUint32(b, uint32(at-run.Offset))
		b = binary.BigEndian.AppendUint32(b, state)
	}
	return w.chunk(chunkDone, chunkStatus, b)
}
