#!/usr/bin/env bash
# The report's tests look at it in a real Chromium. Installs Debian's where none is found and we may.
set -euo pipefail
for browser in chromium chromium-browser google-chrome; do
  if command -v "$browser" >/dev/null; then exit 0; fi
done
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "Installing Debian's chromium for the tests of the report ..."
  apt-get update -qq >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
else
  echo "No Chromium was found and it cannot be installed here (no root or no apt): the tests of the report will fail."
  echo "Install one (for example: sudo apt-get install chromium) and run make test again."
fi
