# A desktop: machines that run now and then, and a disk on USB that is there now and then. What was
# missed is made as soon as both are there; a machine that is shut off is read from its images, and
# one that has not run since needs no new point.
#
# With the packaged timer, let it wait for the disk instead of failing every quarter of an hour:
#
#   systemctl edit vbk@home.service    [Unit]    ConditionPathExists=/media/backup/vbk/vbk.json
#                                      [Service] ReadWritePaths=-/media/backup
vbk {
  time_zone = "Europe/Berlin"
}

# A folder of its own below the mount point, on a file system with hard links (ext4, XFS, Btrfs: not
# FAT, not exFAT). If the disk is not there neither is its mark, vbk.json, and nothing is written.
store "local" "usb" {
  path     = "/media/backup/vbk"
  min_free = "20GiB"
}

domain "all" {
  match      = ["*"]
  exclude    = ["tmp-*"]
  store      = store.local.usb
  every      = "24h"
  rpo        = "7d" # a week without the disk is no alarm
  min_change = "32MiB"

  # The disk is small and the machines are read through USB: one full, then what changes.
  chain {
    full_every = "never"
  }

  retention {
    keep_daily   = 7
    keep_weekly  = 4
    keep_monthly = 6
    prune        = "merge"
  }

  verify {
    every = "30d"
  }
}
