package embedtest

// Undefine makes libvirt forget a machine that is shut off, and which Define has
// not made.
func (r *Root) Undefine(uuid string) error { return r.driver.undefine(uuid) }
