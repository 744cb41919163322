#!/usr/bin/env bash
# The runbook's checklist as an operator types it, one command after the other.
#
#   runbook.sh NAMESPACE URL     kubectl on PATH, KUBECONFIG set, scripts/smoke-test.sh in the working folder
#
# After each command a line says which one it was, its exit code, and when it began and ended:
#   STEP rollout-backend 0 1764125000.123456 1764125001.234567
set -u
namespace=$1 url=$2

step() {
    local name=$1 began=$EPOCHREALTIME
    shift
    "$@"
    echo "STEP $name $? $began $EPOCHREALTIME"
}
events() { kubectl -n "$namespace" get events --sort-by=.lastTimestamp | tail -20; }
health() { curl -sS "$url/health" | tee /dev/stderr | grep -q '"database": "ok"'; }

step rollout-backend kubectl -n "$namespace" rollout status deployment/zkprova-zkprova-backend --timeout=120s
step rollout-frontend kubectl -n "$namespace" rollout status deployment/zkprova-zkprova-frontend --timeout=120s
step smoke bash scripts/smoke-test.sh "$url"
step logs kubectl -n "$namespace" logs -l app=zkprova-backend --tail=50
step health-database health
step events events
