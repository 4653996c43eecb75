# Who hands each role its wrapped secret id. What it makes is of use to nobody who does not hold the role's file.
path "auth/approle/role/+/role-id" { capabilities = ["read"] }
path "auth/approle/role/+/secret-id" {
  capabilities     = ["create", "update"]
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "10m"
}
