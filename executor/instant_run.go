package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vbk/plan"
	"vbk/virt"
)

// Start has the machine run, which is served on the socket: it is defined and
// started if need be, and QEMU begins to pull the first disk that is missing, or goes on at another Rate. A machine that an error has paused,
// because the server had gone or there was no space, runs on. The host is that of uri.
func (i Instant) Start(ctx context.Context, host Recovers, uri string) error {
	uid, gid, err := host.QEMUUser(ctx)
	if err == nil {
		err = os.Chown(i.Socket(), uid, gid)
	}
	if err != nil {
		return fmt.Errorf("give the server's socket to QEMU's user: %w", err)
	}
	if err := i.define(ctx, host, uri); err != nil {
		return err
	}
	d, err := host.Domain(ctx, i.UUID)
	if err != nil {
		return err
	}
	if !d.State.Active() {
		if err := i.checkDurable(); err != nil {
			return err
		}
		if err := i.launch(ctx, host); err != nil {
			return err
		}
	}
	if err := host.Continue(ctx, i.UUID); err != nil {
		return err
	}
	for _, t := range i.targets {
		if alone, err := i.alone(t); err != nil {
			return err
		} else if !alone {
			return host.Pull(ctx, i.UUID, t, i.Rate)
		}
	}
	return nil
}

// define defines the machine, unless it is.
func (i Instant) define(ctx context.Context, host Recovers, uri string) error {
	known, err := host.Known(ctx, i.Name, i.UUID)
	if err != nil || i.itself(known) {
		return err
	}
	doc, err := virt.StopOnErrors(i.XML)
	if err != nil {
		return err
	}
	return i.enter(ctx, host, uri, doc)
}

// alone says whether the image of a disk lies on nothing any more.
func (i Instant) alone(target string) (bool, error) {
	backing, err := readBacking(i.restoration.path(target))
	return err == nil && backing == "", err
}

// pullInterval is how often the state of the pulls is looked at.
const pullInterval = 500 * time.Millisecond

// Follow has QEMU pull one disk after the other, waits until all stand alone, and gives
// the machine the definition that it is to have. (One after the other, because QEMU 7.2
// crashes now and then when two pulls end at a time.) When ctx ends, QEMU goes on with
// the disk that it is at. progress is told the bytes of a disk that are gone through.
func (i Instant) Follow(ctx context.Context, host Recovers, progress func(disk string, done, total int64)) error {
	for _, t := range i.targets {
		err := i.pull(ctx, host, t, progress)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return &hintError{err, i.explain(ctx, host)}
		}
	}
	return i.settle(ctx, host)
}

// pull has one disk pulled, as far as it is not, and makes it durable.
func (i Instant) pull(ctx context.Context, host Recovers, target string, progress func(disk string, done, total int64)) error {
	tick := time.NewTicker(pullInterval)
	defer tick.Stop()
	for begun := false; ; begun = true {
		done, total, active, err := host.Pulling(ctx, i.UUID, target)
		if err != nil {
			return err
		}
		if active {
			progress(target, done, total)
		} else if alone, err := i.alone(target); err != nil { // after the job has ended, which writes the header before
			return err
		} else if alone {
			return i.secure(ctx, host, target)
		} else if begun {
			return fmt.Errorf("QEMU has stopped copying disk %s before its end", target)
		} else if err := host.Pull(ctx, i.UUID, target, i.Rate); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// explain says what may have stopped the copying.
func (i Instant) explain(ctx context.Context, host Recovers) string {
	again := "; then the same command with -resume goes on"
	d, err := host.Domain(ctx, i.UUID)
	if err == nil && !d.State.Active() {
		if i.checkDurable() != nil {
			return "the machine has ended too early: restore again, into another folder"
		}
		return "the machine is shut off, and its disks are copied while it runs: the same command with -resume starts it and goes on"
	}
	if !i.Served(ctx) {
		return "nobody serves the point any more: the same command with -resume does, and goes on"
	}
	if free, total, err := statfs(i.restoration.Dir); err == nil && free < min(spaceLeast, total/10) {
		return fmt.Sprintf("%s has only %s free: make room", i.restoration.Dir, plan.Bytes(free)) + again
	}
	return "serve.log beside the disks and QEMU's log say more" + again
}

// copied is a file that says that the image of a disk is durable.
func (i Instant) copied(target string) string {
	return filepath.Join(i.restoration.Dir, target+".copied")
}

// secure makes an image durable that lies on nothing any more. QEMU 7.2 writes that in
// its header before it writes where the data is: should it end in between, the image
// has lost what was copied, and nothing tells.
func (i Instant) secure(ctx context.Context, host Recovers, target string) error {
	if _, err := os.Lstat(i.copied(target)); err == nil {
		return nil
	}
	if err := i.flush(ctx, host); err != nil {
		return fmt.Errorf("disk %s is copied, but not known to be durable: %w", target, err)
	}
	if err := syncFile(i.restoration.path(target)); err != nil {
		return err
	}
	return writeSmall(i.copied(target), nil)
}

// flush pauses the machine for an instant. Whatever becomes of this process, the machine
// runs on: a Flush is not given up, and where nobody knows what it did the guard is not sent home.
func (i Instant) flush(ctx context.Context, host Recovers) error {
	release := nothing
	if i.Guard != nil {
		var err error
		if release, err = i.Guard(); err != nil {
			return fmt.Errorf("start what would let the machine run on after a crash: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTime)
	defer cancel()
	err := host.Flush(ctx, i.UUID)
	if err == nil || errors.Is(err, virt.ErrNotRunning) || errors.Is(err, virt.ErrNoDomain) {
		return errors.Join(err, release()) // if somebody else has paused it, that is not undone
	}
	return err
}

// checkDurable is for a machine that has ended: an image that lies on nothing must
// have been secured before.
func (i Instant) checkDurable() error {
	for _, t := range i.targets {
		alone, err := i.alone(t)
		if err != nil {
			return err
		}
		if _, err := os.Lstat(i.copied(t)); alone && err != nil {
			return &hintError{fmt.Errorf("the machine has ended before disk %s was known to be durable", t), "restore again, into another folder"}
		}
	}
	return nil
}

// settle takes from the definition what only the recovery needed, and wants the
// machine to know nothing of the server.
func (i Instant) settle(ctx context.Context, host Recovers) error {
	doc, err := host.DomainXML(ctx, i.UUID)
	if err != nil {
		return err
	}
	if recovering, err := virt.StopsOnErrors(doc); err != nil || !recovering { // this was done
		return err
	}
	if strings.Contains(doc, i.Socket()) {
		return fmt.Errorf("the definition of %s still names %s", i.Name, i.Socket())
	}
	if doc, err = virt.ErrorPoliciesOf(doc, i.XML); err != nil {
		return err
	}
	return host.DefineXML(ctx, doc)
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// AwaitAlone waits until none of these images lies on anything. One that is not
// there needs nothing.
func AwaitAlone(ctx context.Context, images []string) {
	tick := time.NewTicker(pullInterval)
	defer tick.Stop()
	for {
		needed := false
		for _, image := range images {
			backing, err := readBacking(image)
			needed = needed || backing != "" || err != nil && !errors.Is(err, os.ErrNotExist)
		}
		if !needed {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
