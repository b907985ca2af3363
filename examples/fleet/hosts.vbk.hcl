# Four hypervisors, one repository. vbk runs on each of them, beside its libvirt:
#
#   vbk apply -auto-approve -var here=hv1
#
# Each has a folder of its own on the same file server.
vbk {
  name      = "site-a"
  time_zone = "Europe/Amsterdam"
}

variable "here" {
  description = "The hypervisor that vbk runs on"
  type        = string

  validation {
    condition     = contains(keys(var.hypervisors), var.here)
    error_message = "One of: ${join(", ", keys(var.hypervisors))}."
  }
}

variable "hypervisors" {
  description = "What differs between them"

  type = map(object({
    site     = string
    max_jobs = optional(number, 2)
  }))
}

locals {
  mine = { for name, h in var.hypervisors : name => h if name == var.here }
}

host "hv" {
  for_each     = local.mine
  uri          = "qemu:///system"
  labels       = { site = each.value.site }
  max_parallel = each.value.max_jobs
  scratch_dir  = "/var/lib/vbk/scratch"

  limits {
    min_free = "20GiB"
  }
}

store "local" "nas" {
  path     = "/srv/backup/${var.here}"
  min_free = "500GiB"
}
