variable "site" {
  type        = string
  default     = "ams"
  description = "The site that this host is in."

  validation {
    condition     = contains(["ams", "fra"], var.site)
    error_message = "There is no site ${var.site}."
  }
}

variable "ping_url" { # VBK_VAR_ping_url, or a file that is not under version control
  type      = string
  sensitive = true
}
