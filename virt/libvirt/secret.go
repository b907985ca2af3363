//go:build cgo

package libvirt

import (
	"context"
	"fmt"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// DefineSecret gives libvirt a secret that it keeps in memory alone and tells
// nobody. A libvirt that has no secrets is virt.ErrUnsupported.
func (h *Host) DefineSecret(ctx context.Context, uuid, description string, value []byte) error {
	x := libvirtxml.Secret{Ephemeral: "yes", Private: "yes", UUID: uuid, Description: description}
	doc, err := x.Marshal()
	if err != nil {
		return err
	}
	_, err = withHost(ctx, h, "make a secret", func(conn *libvirt.Connect) (struct{}, error) {
		s, err := conn.SecretDefineXML(doc, 0)
		if err != nil {
			return struct{}{}, err
		}
		defer s.Free()
		return struct{}{}, s.SetValue(value, 0)
	})
	if err != nil {
		return fmt.Errorf("define secret %s: %w", uuid, plain(err))
	}
	return nil
}

// ForgetSecret makes libvirt forget a secret. It is no error if there is none.
func (h *Host) ForgetSecret(ctx context.Context, uuid string) error {
	_, err := withHost(ctx, h, "forget a secret", func(conn *libvirt.Connect) (struct{}, error) {
		s, err := conn.LookupSecretByUUIDString(uuid)
		if err != nil {
			return struct{}{}, err
		}
		defer s.Free()
		return struct{}{}, s.Undefine()
	})
	if isCode(err, libvirt.ERR_NO_SECRET, libvirt.ERR_NO_SUPPORT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("forget secret %s: %w", uuid, plain(err))
	}
	return nil
}
