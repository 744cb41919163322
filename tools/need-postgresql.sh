#!/usr/bin/env bash
# The migration tests ask a real PostgreSQL. Installs Debian's where none is found and we may; the tests start a
# server of their own, as an unprivileged user, and the package's own cluster is not needed.
set -euo pipefail
if command -v initdb >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null; then exit 0; fi
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "Installing Debian's postgresql for the tests of migrations ..."
  apt-get update -qq >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-common >/dev/null
  sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
else
  echo "No PostgreSQL was found and it cannot be installed here (no root or no apt): the tests of migrations will fail."
  echo "Install one (for example: sudo apt-get install postgresql) and run make test again."
fi
