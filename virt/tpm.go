package virt

import "fmt"

// TPM says of a domain's emulated TPM where libvirt keeps its state: in a folder of
// that name below the folder of the domain's UUID, or at a path of the definition's
// own. Both are "" where there is no emulated TPM.
func TPM(doc string) (folder, path string, err error) {
	root, err := parseElement(doc)
	if err != nil {
		return "", "", fmt.Errorf("parse domain XML: %w", err)
	}
	for _, devices := range root.all("devices") {
		for _, tpm := range devices.all("tpm") {
			backend := tpm.child("backend")
			if backend.attr("type") != "emulator" {
				continue
			}
			folder = "tpm2"
			if backend.attr("version") == "1.2" {
				folder = "tpm1.2"
			}
			return folder, backend.child("source").attr("path"), nil
		}
	}
	return "", "", nil
}
