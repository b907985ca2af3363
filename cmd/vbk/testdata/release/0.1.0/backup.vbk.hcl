vbk {
  name      = "release"
  time_zone = "Europe/Amsterdam"
}

variable "days" {
  type    = number
  default = 7
}

variable "scratch" {
  type    = string
  default = "/var/tmp"
}

host "local" {
  scratch_dir  = var.scratch
  max_parallel = 2
  limits { min_free = "1MiB" }
}

store "local" "main" {
  path = "store"
}

policy "nightly" {
  store = store.local.main
  every = "24h"
  rpo   = "3d"
  chain { full_every = "30d" }
  retention {
    keep_daily   = var.days
    keep_monthly = 12
  }
  quiesce { mode = "try" }
  compression { level = 3 }
}

domain "zstd" {
  match  = ["zstd"]
  policy = policy.nightly
  verify { every = "30d" }
  hook "post" {
    command = ["true"]
    on_fail = "warn"
  }
}

domain "plain" {
  match  = ["plain"]
  policy = policy.nightly
  compression { codec = "none" }
}

domain "merged" {
  match  = ["merged"]
  policy = policy.nightly
  retention {
    keep_last = 1
    prune     = "merge"
  }
}

domain "peer" {
  match  = ["peer"]
  policy = policy.nightly
  stream = "virtnbdbackup"
  compression { codec = "none" }
}

domain "lz4" {
  match  = ["lz4"]
  policy = policy.nightly
  stream = "virtnbdbackup"
  compression { codec = "lz4" }
}

domain "raw" {
  match  = ["raw"]
  policy = policy.nightly
  mode   = "full"
  stream = "raw"
}
