"""OpenBao, or HashiCorp Vault: secrets, database credentials, encryption keys and certificates of the house."""
