#!/bin/bash
# Run once by the PostgreSQL image, on an empty volume: a role and a database for each service, that no other may touch.
set -euo pipefail

for service in config_service order_service webhook_dispatcher; do
    # Through stdin, so that no password stands among the arguments of a process.
    psql --set=ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres --quiet \
        --set=service="$service" <<SQL
\\set password \`cat ${SECRETS:-/run/secrets}/${service}_password\`
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
