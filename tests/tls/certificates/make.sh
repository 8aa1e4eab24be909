#!/bin/sh
# Makes the certificates of the tests anew, which are valid for a hundred years. The keys are no secrets.
#
#   ca.pem        an authority; other-ca.pem is another one
#   server.*      by `ca`, for localhost, 127.0.0.1 and ship.example; the key is ECDSA, as PKCS#8
#   renewed.*     by `other-ca`, for the same names; the key is RSA, as PKCS#1
#   elsewhere.*   by `ca`, for elsewhere.example alone
#   expired.*     by `ca`, for localhost, until 2020; the key is ECDSA, as SEC1
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
days=36500
ecdsa="-newkey ec -pkeyopt ec_paramgen_curve:P-256"
names=DNS:localhost,DNS:ship.example,IP:127.0.0.1

for ca in ca other-ca; do
    openssl req -x509 $ecdsa -nodes -days $days -subj "/CN=Test $ca" -keyout "$work/$ca.key" -out $ca.pem
done
# sign NAME CA NAMES: a certificate for the key in NAME.key.
sign() {
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$work/$1.csr"
    printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\n' "$3" >"$work/$1.ext"
    openssl x509 -req -in "$work/$1.csr" -CA "$2.pem" -CAkey "$work/$2.key" -days $days \
        -extfile "$work/$1.ext" -out "$1.pem"
}
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out server.key
sign server ca $names
openssl genrsa -traditional -out renewed.key 2048
sign renewed other-ca $names
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out elsewhere.key
sign elsewhere ca DNS:elsewhere.example
openssl ecparam -name prime256v1 -genkey -noout -out expired.key
openssl req -new -key expired.key -subj /CN=expired -out "$work/expired.csr"
printf 'subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\n' >"$work/expired.ext"
touch "$work/index"
cat >"$work/config" <<END
[ca]
default_ca=d
[d]
database=$work/index
new_certs_dir=$work
policy=p
default_md=sha256
rand_serial=yes
unique_subject=no
[p]
commonName=supplied
END
openssl ca -batch -notext -config "$work/config" -in "$work/expired.csr" -cert ca.pem \
    -keyfile "$work/ca.key" -startdate 20200101000000Z -enddate 20200201000000Z \
    -extfile "$work/expired.ext" -out expired.pem
