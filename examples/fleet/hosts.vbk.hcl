# Four hypervisors, one repository. vbk runs on each of them, beside its libvirt:
#
#   vbk apply -auto-approve -var here=hv1
#
# with the packaged timer by "systemctl edit vbk@fleet.service": [Service] Environment=VBK_VAR_here=%H.
# Each has a folder of its own on the same file server, mounted at /srv/backup.
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
  scratch_dir  = "/var/lib/libvirt/images" # where there is room for what guests overwrite during a backup

  limits {
    read     = "400MiB/s" # all backups of a host together: guests need the disks, too
    min_free = "20GiB"    # a backup is given up before scratch files fill what the images lie on
  }
}

store "local" "nas" {
  path     = "/srv/backup/${var.here}"
  min_free = "500GiB"
}
