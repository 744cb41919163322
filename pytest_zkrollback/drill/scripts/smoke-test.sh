#!/usr/bin/env bash
# Smoke test of the drill's demo application: bash scripts/smoke-test.sh <deploy-url>
# Exit 0: every check passed. Exit 1: the last line says which one did not. Needs curl or python3.
set -u
url="${1:?usage: smoke-test.sh <deploy-url>}"
url="${url%/}"

fail() {
  echo "FAILED: $*"
  exit 1
}

# request METHOD PATH [JSON]: sets $status and $body; status 000 if there was no answer.
request() {
  local answer
  answer=$(ask "$@")
  status="${answer##*$'\n'}"
  body="${answer%$'\n'*}"
  body="${body%$'\n'}"
}

# ask METHOD PATH [JSON]: prints the body, and in a last line of its own the status.
if command -v curl >/dev/null 2>&1; then
  ask() {
    curl --silent --show-error --noproxy '*' --max-time 10 --request "$1" --write-out '\n%{http_code}' \
      ${3+--header 'Content-Type: application/json' --data "$3"} "$url$2" 2>&1
  }
else
  python=$(command -v python3 || command -v python) || fail "neither curl nor python3 is here to ask with"
  ask() {
    "$python" - "$1" "$url$2" "${3-}" <<'PY'
import sys, urllib.error, urllib.request

method, url, data = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
request = urllib.request.Request(url, data.encode() or None, {"Content-Type": "application/json"}, method=method)
try:
    with opener.open(request, timeout=10) as answer:
        status, body = answer.status, answer.read()
except urllib.error.HTTPError as error:
    status, body = error.code, error.read()
except OSError as error:
    status, body = "000", str(error).encode()
print(body.decode(errors="replace"), status, sep="\n")
PY
  }
fi

# check WHAT STATUS PATTERN: the last answer has this status, and its body matches the pattern.
check() {
  [ "$status" = "$2" ] || fail "$1: status $status instead of $2: $body"
  [[ "$body" =~ $3 ]] || fail "$1: the answer does not match $3: $body"
  echo "ok: $1"
}

echo "smoke test of $url"
request GET /health
check "/health says that the database is ok" 200 '"database": *"ok"'
request GET /
check "the frontend answers" 200 '<title>zkprova</title>'
item="smoke test $$"
request POST /api/orders "{\"item\": \"$item\", \"quantity\": 3}"
check "an order can be placed" 201 '"id": *([0-9]+)'
number="${BASH_REMATCH[1]}"
request GET "/api/orders/$number"
check "order $number can be read back" 200 "\"item\": *\"$item\""
request GET /api/orders
check "the list of orders shows it" 200 "\"id\": *$number,"
echo "all checks passed"
