# Rendered by deploy/vault/configuration.py; jinja2. OpenBao only: HashiCorp Vault has neither this seal nor self-init,
# and needs nothing of it but an operator's login (see README.md).
storage "postgresql" {
  connection_url = {{ storage_url | tojson }}
  ha_enabled     = "false"
}

listener "tcp" {
  address = {{ address | tojson }}
{% if tls_certificate %}
  tls_cert_file = {{ tls_certificate | tojson }}
  tls_key_file  = {{ tls_key | tojson }}
{% else %}
  tls_disable = true
{% endif %}
}

api_addr = {{ url | tojson }}
ui       = {{ ui | tojson }}

# No unseal by hand: the key lies in a file that only the operator's user can read. In production: an HSM or a KMS.
seal "static" {
  current_key_id = {{ seal_key_id | tojson }}
  current_key    = {{ ("file://" + seal_key) | tojson }}
{% if previous_seal_key %}
  previous_key_id = {{ previous_seal_key_id | tojson }}
  previous_key    = {{ ("file://" + previous_seal_key) | tojson }}
{% endif %}
}

audit "file" "main" {
  options = { file_path = {{ audit_log | tojson }} }
}

telemetry {
  prometheus_retention_time = "24h"
  disable_hostname          = true
}

# Once, at the first start: an operator who may configure. Everything else is `python -m deploy.vault.setup`.
initialize "operator" {
  request "userpass" {
    operation = "update"
    path      = "sys/auth/userpass"
    data      = { type = "userpass" }
  }
  request "policy" {
    operation = "update"
    path      = "sys/policies/acl/operator"
    data      = { policy = {{ operator_policy | tojson }} }
  }
  request "user" {
    operation = "update"
    path      = "auth/userpass/users/operator"
    data = {
      password       = { eval_source = "file", eval_type = "string", path = {{ operator_password | tojson }} }
      token_policies = ["operator"]
      token_ttl      = "1h"
      token_max_ttl  = "24h"
    }
  }
}
