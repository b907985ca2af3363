//go:build cgo

package embedtest

import (
	"context"
	"sync"

	"libvirt.org/go/libvirt"

	vbk "vbk/virt/libvirt"
)

// inside is the driver of the shared root: a connection in this process.
type inside struct{ conn *libvirt.Connect }

// connect keeps one connection for the life of the process, as libvirt keeps
// the driver.
func connect(uri string) (driver, error) { return connection(uri) }

var connection = func() func(string) (driver, error) {
	var once sync.Once
	var d driver
	var err error
	return func(uri string) (driver, error) {
		once.Do(func() { d, err = open(uri) })
		return d, err
	}
}()

func open(uri string) (driver, error) {
	// vbk's own Connect starts libvirt's event loop, and explains failures.
	h, err := vbk.Connect(context.Background(), uri, true)
	if err != nil {
		return nil, err
	}
	if err := h.Close(); err != nil {
		return nil, err
	}
	conn, err := libvirt.NewConnect(uri)
	if err != nil {
		return nil, err
	}
	return inside{conn}, nil
}

func (i inside) with(uuid string, f func(*libvirt.Domain) error) error {
	d, err := i.conn.LookupDomainByUUIDString(uuid)
	if err != nil {
		return err
	}
	defer d.Free()
	return f(d)
}

func (i inside) define(xml string) error {
	d, err := i.conn.DomainDefineXML(xml)
	if err != nil {
		return err
	}
	return d.Free()
}

func (i inside) start(uuid string) error {
	return i.with(uuid, func(d *libvirt.Domain) error { return d.CreateWithFlags(libvirt.DOMAIN_START_PAUSED) })
}

func (i inside) undefine(uuid string) error {
	return i.with(uuid, func(d *libvirt.Domain) error {
		return d.UndefineFlags(libvirt.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | libvirt.DOMAIN_UNDEFINE_NVRAM)
	})
}

func (i inside) active(uuid string) (bool, error) {
	active := false
	err := i.with(uuid, func(d *libvirt.Domain) (err error) {
		active, err = d.IsActive()
		return err
	})
	return active, err
}
