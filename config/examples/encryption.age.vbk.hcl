encryption "age" "offsite" {
  recipients      = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
  recipients_file = "/etc/vbk/recipients.txt"
  identity_file   = "/root/vbk.key"
}
