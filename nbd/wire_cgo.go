//go:build cgo

package nbd

// #cgo pkg-config: libnbd
// #include <stdlib.h>
// #include "wire.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"
)

// bitmapContext is the name space of QEMU's dirty bitmaps.
const bitmapContext = "qemu:dirty-bitmap:"

// maxSize bounds what an export may claim, so that offsets can be added and
// shifted by one bit without a thought.
const maxSize = 1 << 61

// wire is the handle of libnbd. A failure of any method closes it.
type wire struct {
	handle   *C.struct_nbd_handle // nil: closed
	requests []C.struct_wire_request
	pinner   runtime.Pinner
	failure  C.struct_wire_error
}

func newWire() (wire, error) {
	h := C.nbd_create()
	if h == nil {
		return wire{}, errors.New("libnbd makes no handle: out of memory")
	}
	return wire{handle: h}, nil
}

// connect takes over the descriptor.
func (w *wire) connect(fd int, export, bitmap string) (info, error) {
	name := C.CString(export)
	defer C.free(unsafe.Pointer(name))
	var context *C.char
	if bitmap != "" {
		context = C.CString(bitmapContext + bitmap)
		defer C.free(unsafe.Pointer(context))
	}
	var found C.struct_wire_info
	if err := w.result(C.wire_connect(w.handle, C.int(fd), name, context, &found, &w.failure)); err != nil {
		return info{}, err
	}
	if found.size < 0 || found.size > maxSize {
		return info{}, fmt.Errorf("the server says its size is %d bytes", uint64(found.size))
	}
	if bitmap != "" && !bool(found.bitmap) {
		return info{}, fmt.Errorf("the server does not offer the bitmap %q", bitmap)
	}
	i := info{
		size:       int64(found.size),
		block:      max(1, int64(found.minimum)),
		maximum:    dataLimit,
		allocation: bool(found.allocation),
		bitmap:     bitmap,
	}
	if found.maximum > 0 {
		i.maximum = min(dataLimit, int64(found.maximum))
	}
	i.maximum = max(i.block, i.maximum-i.maximum%i.block)
	return i, nil
}

// run sends the requests and returns when the last has been answered.
func (w *wire) run(v verb, requests []request) error {
	defer func() {
		w.pinner.Unpin()
		clear(w.requests)
	}()
	w.requests = w.requests[:0]
	for _, r := range requests {
		data := unsafe.Pointer(unsafe.SliceData(r.data))
		if data != nil {
			w.pinner.Pin(data)
		}
		w.requests = append(w.requests, C.struct_wire_request{
			data: data, offset: C.uint64_t(r.offset), length: C.uint64_t(r.length),
		})
	}
	return w.result(C.wire_batch(w.handle, C.int(v), &w.requests[0], C.size_t(len(w.requests)), &w.failure))
}

// extents asks for the contexts that were negotiated.
func (w *wire) extents(i info, offset, length int64) ([]Extent, error) {
	var contexts [2]C.struct_wire_context
	defer func() {
		for _, c := range contexts {
			C.free(unsafe.Pointer(c.name))
			C.free(unsafe.Pointer(c.stretches))
		}
	}()
	if i.allocation {
		contexts[0].name = C.CString(C.LIBNBD_CONTEXT_BASE_ALLOCATION)
	}
	if i.bitmap != "" {
		contexts[1].name = C.CString(bitmapContext + i.bitmap)
	}
	err := w.result(C.wire_extents(w.handle, C.uint64_t(i.size), C.uint64_t(offset), C.uint64_t(length),
		&contexts[0], &w.failure))
	if err != nil {
		return nil, err
	}
	return tile(offset, length, stretches(contexts[0]), stretches(contexts[1])), nil
}

// stretches is a view of memory that C owns.
func stretches(c C.struct_wire_context) []stretch {
	return unsafe.Slice((*stretch)(unsafe.Pointer(c.stretches)), int(c.count))
}

// result makes an error of what a call returned.
func (w *wire) result(r C.int) error {
	if r == 0 {
		return nil
	}
	w.handle = nil // closed by the call
	return &wireError{
		offset: int64(w.failure.offset),
		length: int64(w.failure.length),
		text:   C.GoString(&w.failure.text[0]),
		errno:  syscall.Errno(w.failure.number),
	}
}

func (w *wire) close() {
	if w.handle != nil {
		C.wire_close(w.handle)
		w.handle = nil
	}
}
