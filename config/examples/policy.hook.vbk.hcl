policy "gold" {
  hook "pre" {
    command = ["/usr/local/sbin/stop-batch-jobs"]
    timeout = "1m"
    on_fail = "warn"
  }

  hook "fail" {
    command = ["sh", "-c", "curl -fsS -m 10 --data-raw \"$VBK_DOMAIN: $VBK_ERROR\" \"$PING_URL/fail\""]
    env     = { PING_URL = var.ping_url }
  }
}
