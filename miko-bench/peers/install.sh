#!/usr/bin/env bash
# Installs the peers that `miko bench` measures beside Mikobase, on Debian or Ubuntu, as root. Those that are there stay
# as they are, and none is started: the measurement starts them itself, on private sockets.
set -euo pipefail
packages=()
command -v redis-server >/dev/null || packages+=(redis-server)
command -v postgres >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null || packages+=(postgresql)
command -v python3 >/dev/null || packages+=(python3)
if [ ${#packages[@]} -gt 0 ]; then
    # No package starts its service while this is in place.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm /usr/sbin/policy-rc.d' EXIT
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi
