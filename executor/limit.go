package executor

import (
	"context"
	"sync"

	"golang.org/x/time/rate"

	"vbk/nbd"
)

// A run may be ahead of its rate by what is due in a fiftieth of a second, so that
// the time of a read is not lost, or by one part.
const (
	limitPart  = 1 << 20 // bytes that are waited for at a time
	limitAhead = 50      // of a second
)

// limits are the rates of hosts and stores. All instances of a run share them.
type limits struct {
	mu    sync.Mutex
	rates map[string]*rate.Limiter
}

// of is the limit with this key, in bytes a second; 0 is none.
func (l *limits) of(key string, bytesPerSecond int64) *limit {
	if bytesPerSecond <= 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rates == nil {
		l.rates = map[string]*rate.Limiter{}
	}
	if l.rates[key] == nil {
		l.rates[key] = rate.NewLimiter(rate.Limit(bytesPerSecond), int(max(limitPart, bytesPerSecond/limitAhead)))
	}
	return (*limit)(l.rates[key])
}

// limit is a rate in bytes a second; nil is none.
type limit rate.Limiter

// wait returns when n bytes more are due. moved is told of each part of them, so
// that waiting is not taken for standing still.
func (l *limit) wait(ctx context.Context, n int, moved func()) error {
	for n > 0 && l != nil {
		part := min(n, limitPart)
		if err := (*rate.Limiter)(l).WaitN(ctx, part); err != nil {
			return err
		}
		moved()
		n -= part
	}
	return nil
}

// slowExport is an export that is read no faster than limits.read of its host.
type slowExport struct {
	Export
	limit *limit
	moved func()
}

func (e slowExport) ReadBatch(ctx context.Context, reads []nbd.Read) error {
	for _, r := range reads {
		if err := e.limit.wait(ctx, len(r.Data), e.moved); err != nil {
			return err
		}
	}
	return e.Export.ReadBatch(ctx, reads)
}

// Prime would be a read beyond the limit, for a speed that nobody wants.
func (e slowExport) Prime(context.Context) error { return nil }

// slowFile is a file that is written no faster than limits.write of its store.
type slowFile struct {
	NewFile
	ctx   context.Context // of the action that writes it
	limit *limit
	moved func()
}

func (f slowFile) Write(p []byte) (int, error) {
	if err := f.limit.wait(f.ctx, len(p), f.moved); err != nil {
		return 0, err
	}
	return f.NewFile.Write(p)
}

func (f slowFile) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.limit.wait(f.ctx, len(p), f.moved); err != nil {
		return 0, err
	}
	return f.NewFile.WriteAt(p, offset)
}

// slowed is the export, held to limits.read.
func (a *attempt) slowed(e Export) Export {
	l := a.limits.of("host "+a.want.Host.Name, a.want.Host.ReadLimit)
	if l == nil {
		return e
	}
	return slowExport{e, l, a.alive}
}

// newFile makes a file of a chain, held to limits.write.
func (x *instance) newFile(ctx context.Context, chain, name string, moved func()) (NewFile, error) {
	file, err := x.folder.Create(chain, name)
	l := x.limits.of(x.want.Store.Address(), x.want.Store.WriteLimit)
	if err != nil || l == nil {
		return file, err
	}
	return slowFile{file, ctx, l, moved}, nil
}
