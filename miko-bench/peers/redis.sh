# A Redis in the directory $1, on the socket `socket` in it, in memory only.
command -v redis-server >/dev/null || exit 127
exec redis-server --port 0 --unixsocket "$1/socket" --dir "$1" --save "" --appendonly no
