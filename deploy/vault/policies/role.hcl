# What a role may beside what its capabilities may. jinja2; `role` is its name, `certificates` whose it may ask for,
# `secrets` the paths that it may read.
path "database/creds/{{ role }}" { capabilities = ["read"] }
path "sys/leases/renew" { capabilities = ["update"] }
{% for name in certificates %}
path "pki/issue/{{ name }}" { capabilities = ["update"] }
{% endfor %}
{% for path in secrets %}
path "secret/data/{{ path }}" { capabilities = ["read"] }
{% endfor %}
