# conftest test -p policy plan.json, where plan.json is what vbk show -json
# prints. It is the shape of Terraform's plans, so rules written for those work.
package main

import rego.v1

# How many points a change may delete, and how many bytes, before somebody has
# to say so in the merge request.
max_deleted := 20

max_freed := 536870912000 # 500 GiB

deleted contains change.address if {
	some change in input.resource_changes
	"delete" in change.change.actions
}

deny contains message if {
	count(deleted) > max_deleted
	message := sprintf("%d points would be deleted, %d are allowed", [count(deleted), max_deleted])
}

deny contains message if {
	input.summary.freed_bytes > max_freed
	message := sprintf("%d bytes of points would be deleted, %d are allowed", [input.summary.freed_bytes, max_freed])
}

# A machine whose chains all go has no backup any more.
deny contains message if {
	some instance in input.instances
	instance.release
	message := sprintf("all points of %s would be deleted: %s", [instance.domain, instance.release])
}

warn contains message if {
	some check in input.checks
	check.status != "pass"
	message := sprintf("check %s: %s", [check.name, check.message])
}
