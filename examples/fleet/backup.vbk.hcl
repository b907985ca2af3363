# One hypervisor, two classes of machines, and nothing that is forgotten.
vbk {
  name      = "site-a"
  time_zone = "Europe/Berlin"
}

host "hv1" {
  uri          = "qemu:///system"
  scratch_dir  = "/var/tmp"
  max_parallel = 2
}

store "local" "nas" {
  path     = "/srv/backup"
  min_free = "50GiB"
}

policy "gold" {
  store = store.local.nas
  every = "6h"

  chain {
    full_every     = "14d"
    max_increments = 60
  }

  retention {
    keep_last    = 4
    keep_daily   = 14
    keep_weekly  = 8
    keep_monthly = 12
  }
}

policy "bronze" {
  store = store.local.nas

  retention {
    keep_daily = 7
  }
}

domain "db" {
  match  = ["db-*"]
  policy = policy.gold

  disks {
    exclude = ["vdz"] # swap
  }
}

domain "rest" {
  fallback = true
  exclude  = ["*-test", "*-scratch"]
  policy   = policy.bronze
  offline  = "skip"
}
