# A PostgreSQL in the directory $1, with its socket there, and nothing synchronized to the disk.
set -e
PATH="$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)"
command -v initdb >/dev/null && command -v postgres >/dev/null || exit 127
as=
if [ "$(id -u)" = 0 ]; then # It refuses to run as root.
    chown postgres "$1"
    as="setpriv --reuid=postgres --regid=postgres --clear-groups --pdeathsig=KILL"
fi
cd "$1"
$as initdb --pgdata=data --username=bench --auth=trust --encoding=UTF8 --locale=C --no-sync >/dev/null
exec $as postgres -D data -c listen_addresses= -c unix_socket_directories="$1" \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 \
    -c shared_buffers=1GB -c autovacuum=off -c max_parallel_workers_per_gather=0 -c log_min_messages=panic
