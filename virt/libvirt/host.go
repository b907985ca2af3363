//go:build cgo

package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"vbk/virt"
)

// Host is a connection to a libvirt. It may be used by many goroutines. When the
// daemon has gone away and comes back, it is connected again.
type Host struct {
	lines    *lines
	patience time.Duration // with each domain of a survey

	// Trace is told of each call about a domain when it has ended, from many
	// goroutines; nil: nobody is. Set it before the first call.
	Trace func(what, uuid string, took time.Duration, err error)
}

// eventLoop runs libvirt's own event loop for the rest of the process's life:
// libvirt has one per process and wants it before the first connection.
var eventLoop = sync.OnceValue(func() error {
	if err := libvirt.EventRegisterDefaultImpl(); err != nil {
		return err
	}
	go func() {
		for {
			if err := libvirt.EventRunDefaultImpl(); err != nil {
				return
			}
		}
	}()
	return nil
})

// Connect opens a connection, a read-only one if that is enough.
func Connect(ctx context.Context, uri string, readOnly bool) (*Host, error) {
	if err := eventLoop(); err != nil {
		return nil, fmt.Errorf("connect to %s: start libvirt's event loop: %w", uri, plain(err))
	}
	open := libvirt.NewConnect
	if readOnly {
		open = libvirt.NewConnectReadOnly
	}
	l := &lines{wait: reconnectTime, open: func() (*libvirt.Connect, error) {
		conn, err := open(uri)
		if err == nil { // not every driver has keepalive, and a connection works without
			_ = conn.SetKeepAlive(5, 6)
		}
		return conn, err
	}}
	_, err := call(ctx, func() (*libvirt.Connect, error) { return l.live(ctx) })
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", uri, plain(err))
	}
	return &Host{lines: l, patience: 20 * time.Second}, nil
}

// Close gives the connection up. Jobs and domains go on.
func (h *Host) Close() error {
	if err := h.lines.close(); err != nil {
		return fmt.Errorf("close libvirt connection: %w", plain(err))
	}
	return nil
}

// UUID returns the host's UUID from libvirt's capabilities, "" if it has none.
// On a machine whose firmware has no UUID libvirt draws one each time it
// starts, unless host_uuid is set in its configuration.
func (h *Host) UUID(ctx context.Context) (string, error) {
	doc, err := withHost(ctx, h, "read capabilities", (*libvirt.Connect).GetCapabilities)
	if err != nil {
		return "", fmt.Errorf("read host UUID: %w", plain(err))
	}
	var x struct {
		UUID string `xml:"host>uuid"`
	}
	if err := xml.Unmarshal([]byte(doc), &x); err != nil {
		return "", fmt.Errorf("read host UUID: parse capabilities: %w", err)
	}
	return strings.ToLower(x.UUID), nil
}

// call runs a C call in its own goroutine, for as long as ctx allows. A panic
// in it is raised again here.
func call[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
		bug   string
	}
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, fmt.Errorf("not begun: %w", err)
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.bug = caught(func() { r.value, r.err = f() })
		done <- r
	}()
	select {
	case r := <-done:
		if r.bug != "" {
			panic(r.bug)
		}
		return r.value, r.err
	case <-ctx.Done():
		return zero, fmt.Errorf("outcome unknown: libvirt has not answered: %w", ctx.Err())
	}
}

// caught runs f and returns the panic that ended it, with its stack, "" if none
// did. Left in a goroutine of ours it would end the process with Go's exit code
// 2, which for a plan means that there are changes.
func caught(f func()) (bug string) {
	defer func() {
		if p := recover(); p != nil {
			bug = fmt.Sprintf("%v\n%s", p, debug.Stack())
		}
	}()
	f()
	return ""
}

// withHost runs f on the connection inside one call; what names the operation for
// the trace.
func withHost[T any](ctx context.Context, h *Host, what string, f func(*libvirt.Connect) (T, error)) (T, error) {
	return traced(h, what, "", func() (T, error) { return onLine(ctx, h, f) })
}

// traced runs f and tells the trace.
func traced[T any](h *Host, what, uuid string, f func() (T, error)) (T, error) {
	began := time.Now()
	value, err := f()
	if h.Trace != nil {
		h.Trace(what, uuid, time.Since(began), plain(err))
	}
	return value, err
}

func onLine[T any](ctx context.Context, h *Host, f func(*libvirt.Connect) (T, error)) (T, error) {
	return call(ctx, func() (T, error) {
		conn, err := h.lines.live(ctx)
		if err != nil {
			var zero T
			return zero, err
		}
		return f(conn)
	})
}

// withDomain runs f on a domain inside one call; what names the operation. It is
// run again where libvirt goes away meanwhile: f may be done twice.
func withDomain[T any](ctx context.Context, h *Host, what, uuid string, f func(*libvirt.Domain) (T, error)) (T, error) {
	used := h.lines.newest()
	value, err := withDomainOnce(ctx, h, what, uuid, f)
	if err != nil && ctx.Err() == nil && !isAlive(used) {
		return withDomainOnce(ctx, h, what, uuid, f)
	}
	return value, err
}

// withDomainOnce is withDomain for what must not be done twice.
func withDomainOnce[T any](ctx context.Context, h *Host, what, uuid string, f func(*libvirt.Domain) (T, error)) (T, error) {
	value, err := traced(h, what, uuid, func() (T, error) {
		return onLine(ctx, h, func(conn *libvirt.Connect) (T, error) {
			var zero T
			d, err := conn.LookupDomainByUUIDString(uuid)
			if err != nil {
				return zero, err
			}
			defer d.Free()
			return f(d)
		})
	})
	if err != nil {
		return value, fmt.Errorf("%s %s: %w", what, uuid, plain(err))
	}
	return value, nil
}

func isCode(err error, codes ...libvirt.ErrorNumber) bool {
	var e libvirt.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// sentinel is the error that callers tell apart, by libvirt's code; QEMU's
// errors have none, only their text.
func sentinel(e libvirt.Error) error {
	// The codes of these are also those of an agent that is slow.
	if strings.Contains(e.Message, "guest agent is not configured") || strings.Contains(e.Message, "guest agent is not connected") {
		return virt.ErrNoAgent
	}
	switch e.Code {
	case libvirt.ERR_NO_DOMAIN:
		return virt.ErrNoDomain
	case libvirt.ERR_NO_DOMAIN_CHECKPOINT:
		return virt.ErrNoCheckpoint
	case libvirt.ERR_CHECKPOINT_INCONSISTENT:
		return virt.ErrBrokenCheckpoint
	case libvirt.ERR_OPERATION_TIMEOUT, libvirt.ERR_RESOURCE_BUSY:
		return virt.ErrBusy
	case libvirt.ERR_NO_SUPPORT, libvirt.ERR_OPERATION_UNSUPPORTED, libvirt.ERR_CONFIG_UNSUPPORTED, libvirt.ERR_ARGUMENT_UNSUPPORTED:
		return virt.ErrUnsupported
	}
	if strings.Contains(e.Message, "dirty bitmaps in qcow2 v2") {
		return virt.ErrOldImage
	}
	if strings.Contains(e.Message, "NBD server already running") {
		return virt.ErrServing
	}
	return nil
}

// plain replaces the binding's error by libvirt's message and, where there is
// one, its sentinel. Other errors pass unchanged.
func plain(err error) error {
	var e libvirt.Error
	if !errors.As(err, &e) {
		return err
	}
	if s := sentinel(e); s != nil {
		return fmt.Errorf("%w: %s", s, e.Message)
	}
	return errors.New(e.Message)
}
