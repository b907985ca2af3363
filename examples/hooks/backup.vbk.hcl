# Hooks: a webhook hears of every point and of every failure, and a service that
# watches for pings (healthchecks.io, or one of your own) hears nothing any more when
# backups stop. vbk runs programs without a shell; curl and jq are on every host.

variable "webhook" {
  type        = string
  description = "where JSON is sent; it may hold a token: VBK_VAR_webhook, or secrets.auto.vbkvars"
  sensitive   = true
}

variable "ping" {
  type        = string
  description = "URL of a check: pinged after each point, with /fail behind it after a failure"
  sensitive   = true
}

locals {
  # jq writes the JSON, so that whatever an error says cannot break out of it.
  send = <<-EOT
    set -eu
    jq --null-input '{
      event: env.VBK_HOOK, domain: env.VBK_DOMAIN, host: env.VBK_HOST, store: env.VBK_STORE, address: env.VBK_ADDRESS,
      point: env.VBK_POINT, kind: env.VBK_KIND, stored_bytes: ((env.VBK_STORED_BYTES // "0") | tonumber), error: env.VBK_ERROR
    } | with_entries(select(.value != null))' |
      curl --fail --silent --show-error --max-time 10 --retry 2 --header 'Content-Type: application/json' --data @- "$WEBHOOK"
  EOT
}

store "local" "nas" {
  path = "/srv/backup"
}

policy "told" {
  store = store.local.nas
  retention { keep_daily = 14 }

  # After a point, and after a failure: the webhook, then the ping. on_fail is "warn"
  # where nothing else is said: a backup does not fail because nobody could be told.
  hook "post" {
    command = ["sh", "-c", "${local.send}\ncurl --fail --silent --show-error --max-time 10 --retry 2 --output /dev/null \"$PING\""]
    env     = { WEBHOOK = var.webhook, PING = var.ping }
    timeout = "1m"
  }

  hook "fail" {
    command = ["sh", "-c", "${local.send}\ncurl --fail --silent --show-error --max-time 10 --retry 2 --output /dev/null --data-raw \"$VBK_DOMAIN: $VBK_ERROR\" \"$PING/fail\""]
    env     = { WEBHOOK = var.webhook, PING = var.ping }
    timeout = "1m"
  }
}

domain "all" {
  match   = ["*"]
  exclude = ["erp", "db-*"]
  policy  = policy.told
}

domain "erp" {
  match  = ["erp"]
  policy = policy.told

  # Before the backup the application writes out what it has in memory; if that fails there is no
  # backup, and "fail" tells so. Take no lock here that somebody has to give back: what "post" does
  # comes when the point is durable, an hour later perhaps. What must stand still for the instant
  # of the point is told by the freeze hook of qemu-guest-agent, inside the guest.
  hook "pre" {
    command = ["/usr/local/sbin/erp-flush", "--host", "erp.example.net"]
    timeout = "2m"
    on_fail = "abort"
  }
}

# A database that is to stand still says so inside the guest: qemu-guest-agent calls its freeze hook
# (fsfreeze-hook) right before the instant of the point and right after it, tenths of a second later.
domain "db" {
  match  = ["db-*"]
  policy = policy.told

  quiesce {
    mode    = "require" # no agent, or a hook that fails: no point, and "fail" tells so
    timeout = "20s"     # the hook may take so long
  }
}
