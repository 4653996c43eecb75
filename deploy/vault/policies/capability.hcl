# What a capability may: read its own secrets and those that all share, use its own key. jinja2; `capability` is its
# name.
path "secret/data/shared/*" { capabilities = ["read"] }
path "secret/data/{{ capability }}/*" { capabilities = ["read"] }
path "secret/metadata/{{ capability }}/*" { capabilities = ["read", "list"] }
path "transit/encrypt/{{ capability }}" { capabilities = ["update"] }
path "transit/decrypt/{{ capability }}" { capabilities = ["update"] }
path "transit/rewrap/{{ capability }}" { capabilities = ["update"] }
path "transit/keys/{{ capability }}" { capabilities = ["read"] }
