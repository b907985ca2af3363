host "hv" {
  for_each     = { hv1 = "ams", hv2 = "fra" }
  uri          = "qemu:///system"
  labels       = { site = each.value }
  max_parallel = 4
  scratch_dir  = "/var/lib/vbk/scratch"

  limits {
    read     = "400MiB/s"
    min_free = "10GiB"
  }

  nbd {
    transport = "unix"
  }
}

domain "web" {
  match = ["web*"]
  hosts = [for h in host.hv : h if h.labels.site == "ams"]
  store = store.local.nas
}
