//go:build cgo

package libvirt

import (
	"context"
	"errors"
	"sync"
	"time"

	"libvirt.org/go/libvirt"
)

// lines are the connections to a libvirt, one after the other. Those that broke are
// kept to the end: a call may use one still.
type lines struct {
	open func() (*libvirt.Connect, error)

	mu   sync.Mutex
	all  []*libvirt.Connect // the newest last
	wait time.Duration      // for a daemon that went away
	lost time.Time          // when that was noticed; zero: it is there
}

// reconnectTime is how long a daemon that went away is waited for: one that is
// restarted is back in a few seconds.
const reconnectTime = 30 * time.Second

// WaitFor changes how long a daemon that went away is waited for, from half a
// minute.
func (h *Host) WaitFor(d time.Duration) {
	h.lines.mu.Lock()
	defer h.lines.mu.Unlock()
	h.lines.wait = d
}

// live is a connection that is not known to be broken.
func (l *lines) live(ctx context.Context) (*libvirt.Connect, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.all)
	if n > 0 && isAlive(l.all[n-1]) {
		return l.all[n-1], nil
	}
	if l.lost.IsZero() {
		l.lost = time.Now()
	}
	limit := time.After(l.wait - time.Since(l.lost)) // all calls together wait so long
	for {
		conn, err := l.open()
		if err == nil {
			l.all, l.lost = append(l.all, conn), time.Time{}
			return conn, nil
		}
		if n == 0 { // there was never one
			return nil, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-limit:
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (l *lines) newest() *libvirt.Connect {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[len(l.all)-1]
}

// isAlive says whether a connection works. libvirt knows as soon as the daemon has
// closed it.
func isAlive(c *libvirt.Connect) bool {
	alive, err := c.IsAlive()
	return alive || err != nil // not every driver can tell
}

func (l *lines) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []error
	for n, c := range l.all {
		_, err := c.Close()
		if n == len(l.all)-1 {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
