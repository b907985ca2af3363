//go:build cgo

package libvirt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"libvirt.org/go/libvirt"

	"vbk/virt"
)

// atOnce is how many domains a survey looks at side by side. libvirtd takes
// five requests of a connection at a time, unless configured otherwise.
const atOnce = 4

// Domains surveys all domains of the host, active or not, in libvirt's order. It
// works on a read-only connection. A domain that vanishes meanwhile is left out.
// One whose QEMU does not answer within 20 seconds has a Job that says so and
// what is known without QEMU; one whose survey fails has its Error. The end of
// ctx fails the survey as a whole.
func (h *Host) Domains(ctx context.Context) ([]virt.Domain, error) {
	found, err := h.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", plain(err))
	}
	errs := make([]error, len(found))
	sideBySide(len(found), atOnce, func(i int) { found[i], errs[i] = h.look(ctx, found[i]) })
	var domains []virt.Domain
	for i, err := range errs {
		if err == nil {
			domains = append(domains, found[i])
		} else if !errors.Is(err, virt.ErrNoDomain) {
			return nil, err
		}
	}
	return domains, nil
}

// list returns the domains with name and UUID alone.
func (h *Host) list(ctx context.Context) ([]virt.Domain, error) {
	return withHost(ctx, h, "list domains", func(conn *libvirt.Connect) ([]virt.Domain, error) {
		all, err := conn.ListAllDomains(0)
		if err != nil {
			return nil, err
		}
		var found []virt.Domain
		for i := range all {
			uuid, err := all[i].GetUUIDString()
			name, err2 := all[i].GetName()
			if err == nil && err2 == nil {
				found = append(found, virt.Domain{Name: name, UUID: uuid, State: virt.Unknown, ProcessUID: -1, ProcessGID: -1})
			}
			all[i].Free()
		}
		return found, nil
	})
}

// look surveys a domain of the list. Its errors are ErrNoDomain and the end of
// ctx; any other is part of what it found.
func (h *Host) look(ctx context.Context, listed virt.Domain) (virt.Domain, error) {
	limited, cancel := context.WithTimeout(ctx, h.patience)
	defer cancel()
	d, err := h.Domain(limited, listed.UUID)
	switch {
	case err == nil, errors.Is(err, virt.ErrNoDomain), ctx.Err() != nil:
		return d, err
	case errors.Is(err, context.DeadlineExceeded):
		return h.wedged(ctx, listed)
	}
	listed.Error = err.Error()
	return listed, nil
}

// wedged describes a domain whose QEMU does not answer, by the list alone if
// libvirt does not answer either.
func (h *Host) wedged(ctx context.Context, listed virt.Domain) (virt.Domain, error) {
	limited, cancel := context.WithTimeout(ctx, h.patience)
	defer cancel()
	d, err := withDomain(limited, h, "survey domain", listed.UUID, outline)
	switch {
	case errors.Is(err, virt.ErrNoDomain), ctx.Err() != nil:
		return d, err
	case err != nil:
		d = listed
	}
	d.Job = &virt.Job{Operation: virt.NoAnswer}
	return d, nil
}

// sideBySide calls f with 0 to n-1, at most limit at once. A panic in one is
// raised again here.
func sideBySide(n, limit int, f func(int)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, limit)
	bugs := make([]string, n)
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			bugs[i] = caught(func() { f(i) })
			<-slots
		})
	}
	group.Wait()
	if bug := cmp.Or(bugs...); bug != "" {
		panic(bug)
	}
}
