package virt

import "fmt"

// errorPolicies are the attributes of a disk's <driver> that say what QEMU does
// about an error.
var errorPolicies = []string{"error_policy", "rerror_policy"}

// StopOnErrors changes a definition so that an error of any disk pauses the machine
// instead of reaching the guest, which would take the disk for broken.
func StopOnErrors(doc string) (string, error) {
	return eachDriver(doc, func(_ string, driver *element) {
		for _, name := range errorPolicies {
			driver.set(name, "stop")
		}
	})
}

// StopsOnErrors says whether a definition is as StopOnErrors makes it.
func StopsOnErrors(doc string) (stops bool, err error) {
	stops = true
	_, err = eachDriver(doc, func(_ string, driver *element) {
		for _, name := range errorPolicies {
			stops = stops && driver.attr(name) == "stop"
		}
	})
	return stops, err
}

// ErrorPoliciesOf gives the disks of a definition what another one says QEMU does
// about errors of the same targets.
func ErrorPoliciesOf(doc, like string) (string, error) {
	policies := map[string]*element{}
	if _, err := eachDriver(like, func(target string, driver *element) { policies[target] = driver }); err != nil {
		return "", err
	}
	return eachDriver(doc, func(target string, driver *element) {
		for _, name := range errorPolicies {
			driver.unset(name)
			if value := policies[target].attr(name); value != "" {
				driver.set(name, value)
			}
		}
	})
}

// eachDriver changes the <driver> of each disk, but of media in drives.
func eachDriver(doc string, change func(target string, driver *element)) (string, error) {
	root, err := parseElement(doc)
	if err != nil {
		return "", fmt.Errorf("parse domain XML: %w", err)
	}
	for _, devices := range root.all("devices") {
		for _, disk := range devices.all("disk") {
			if driver := disk.child("driver"); driver != nil && disk.attr("device") != "cdrom" && disk.attr("device") != "floppy" {
				change(disk.child("target").attr("dev"), driver)
			}
		}
	}
	return root.String(), nil
}
