#!/usr/bin/env bash
# Runs every test and then says how many cases of which kind ran, counted from what the test programs said.
#
#   run.sh FOLDER [ARGUMENT...]     FOLDER as install.sh filled it; the arguments go to `cargo test`
#
# Ends non-zero when a case failed, when one was left out (there is no silent skip), or when a program ran none.
set -euo pipefail

tools=${1:?usage: run.sh FOLDER [ARGUMENT...]}
shift
export GRANTKEEP_TEST_REDIS_SERVER=$tools/bin/redis-server GRANTKEEP_TEST_NODE=$tools/bin/node \
    GRANTKEEP_TEST_PYTHON=$tools/bin/python3 GRANTKEEP_TEST_OIDC_DIR=$tools/oidc-provider \
    GRANTKEEP_TEST_NGINX=$tools/bin/nginx GRANTKEEP_TEST_PROMTOOL=$tools/bin/promtool \
    GRANTKEEP_TEST_SYSTEMD_ANALYZE=$tools/bin/systemd-analyze GRANTKEEP_TEST_HADOLINT=$tools/python/bin/hadolint \
    GRANTKEEP_TEST_CHROMIUM=$tools/bin/chromium GRANTKEEP_TEST_PAGES_DIR=$tools/pages \
    GRANTKEEP_TEST_FIGURES=$tools/figures

: >"$GRANTKEEP_TEST_FIGURES"
status=0
cargo test --no-fail-fast "$@" 2>&1 | tee "$tools/test.log" || status=$?

if [[ -s $GRANTKEEP_TEST_FIGURES ]]; then
    printf '\nfigures:\n'
    sort -V "$GRANTKEEP_TEST_FIGURES" | sed 's/^/  /'
fi

# The kind of a case is its program, and in the large program of `tests/it` its outermost module.
awk -v status="$status" '
    /^ *Running / { program = $2 == "unittests" ? "unit" : $2; ran[program] = 0 }
    /^test .* \.\.\. / {
        kind = program
        if (program ~ /floors/) kind = "structure"
        if (program ~ /\/it\//) { kind = $2; sub(/::.*/, "", kind); gsub(/_/, " ", kind) }
        # The store contract runs on each store, and on each form of Redis.
        if ($2 ~ /^store_contract::[a-z_]+::(embedded|redis)/) { split($2, part, "::"); kind = "store contract: " part[3] }
        ran[program]++
    }
    /^test .* \.\.\. ok$/ { passed[kind]++; all_passed++; kinds[kind] }
    /^test .* \.\.\. FAILED/ { failed[kind]++; all_failed++; kinds[kind] }
    /^---- .* stdout ----$/ { telling++; tells = 1; lines = 0 }
    /^failures:$/ { tells = 0 }
    tells && $0 !~ /^[0-9-]+T[0-9:.]+Z / && lines++ < 80 { said[telling] = said[telling] $0 "\n" }
    /^test .* \.\.\. ignored/ { skipped++; print "left out: " $2 }
    END {
        print "\ncases by kind:"
        for (kind in kinds) {
            line = sprintf("  %-32s %5d passed", kind, passed[kind])
            print line (failed[kind] ? sprintf(", %d failed", failed[kind]) : "") | "sort"
        }
        close("sort")
        # Once more, so that it is near the end however much was logged.
        for (i = 1; i <= all_failed; i++) if (said[i] != "") printf "\n%s", said[i]
        for (program in ran) if (!ran[program]) { empty++; print "ran no case: " program }
        if (status && !all_failed) print "cargo test ended with status " status
        printf "\n%d passed, %d failed\n", all_passed, all_failed
        exit status || all_failed || skipped || empty || !all_passed
    }' "$tools/test.log"
