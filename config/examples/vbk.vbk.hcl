vbk {
  name             = "site-a"
  required_version = ">= 0.4, < 2"
  time_zone        = "Europe/Berlin"
}
