variable "site" {
  type        = string
  default     = "ams"
  description = "The site that this host is in."

  validation {
    condition     = contains(["ams", "fra"], var.site)
    error_message = "There is no site ${var.site}."
  }
}

variable "ping_url" {
  type      = string
  sensitive = true
  default   = "https://hc.example.net/ping/4f1c"
}
