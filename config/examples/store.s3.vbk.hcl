store "s3" "offsite" {
  bucket     = "backup"
  prefix     = "site-a/"
  endpoint   = "https://s3.example.net"
  region     = "eu-central-1"
  path_style = "true"
  ca_file    = "/etc/ssl/example.pem"
  encryption = encryption.age.offsite

  credentials {
    env_prefix = "OFFSITE_"
    file       = "/etc/vbk/credentials"
    profile    = "backup"
  }

  object_lock {
    mode  = "compliance"
    slack = "2d"
  }

  limits {
    write = "50MiB/s"
  }
}
