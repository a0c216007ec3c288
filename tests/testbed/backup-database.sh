#!/bin/sh
# The local backup of ChefWell's database: one compressed dump, then the rotation of
# 7 daily, 4 weekly (Sundays) and 3 monthly (firsts) ones. The file beside it, backup-database.env,
# says where the database and the backups are; the password stands in the file that PGPASSFILE names.
set -eu
umask 077

config=${BACKUP_CONFIG:-$(dirname "$0")/backup-database.env}
# shellcheck source=/dev/null
. "$config"
export PGHOST PGPORT PGUSER PGDATABASE PGPASSFILE

mkdir -p "$BACKUP_DIR/daily" "$BACKUP_DIR/weekly" "$BACKUP_DIR/monthly"
stamp=$(date +%Y%m%d_%H%M%S)
while [ -e "$BACKUP_DIR/daily/chefwell_backup_$stamp.dump.gz" ]; do
    sleep 1
    stamp=$(date +%Y%m%d_%H%M%S)
done
name=chefwell_backup_$stamp.dump.gz
half=$BACKUP_DIR/daily/.$name.$$
trap 'rm -f "$half"' EXIT
trap 'exit 1' HUP INT TERM

# A pipeline ends with its last command's status alone, so pg_dump's own goes another way.
status=$({ { "$PG_DUMP" -Fc --no-password && echo 0 >&3 || echo 1 >&3; } | gzip >"$half"; } 3>&1)
if [ "$status" != 0 ]; then
    echo "backup-database: pg_dump failed, nothing was kept" >&2
    exit 1
fi
mv "$half" "$BACKUP_DIR/daily/$name"

# One a week and one a month, though there may be several backups on that day.
day=${stamp%_*}
keep_also() {
    for held in "$BACKUP_DIR/$1/chefwell_backup_${day}_"*.dump.gz; do
        [ ! -e "$held" ] || return 0
    done
    cp -p "$BACKUP_DIR/daily/$name" "$BACKUP_DIR/$1/.$name.$$"
    mv "$BACKUP_DIR/$1/.$name.$$" "$BACKUP_DIR/$1/$name"
}
[ "$(date +%u)" != 7 ] || keep_also weekly
[ "${day#??????}" != 01 ] || keep_also monthly

# The names hold the time, so their order is that of the backups.
rotate() {
    find "$BACKUP_DIR/$1" -name 'chefwell_backup_*.dump.gz' | sort -r | tail -n "+$(($2 + 1))" |
        while IFS= read -r old; do
            rm -f "$old"
        done
}
rotate daily 7
rotate weekly 4
rotate monthly 3
echo "backup-database: $BACKUP_DIR/daily/$name"
