# TLS in front of the backend, with a certificate that nobody vouches for (the plan's `curl -k`).
FROM chefwell-test/base:1
RUN openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=chefwell.pro \
      -addext subjectAltName=DNS:app.chefwell.pro,DNS:api.chefwell.pro \
      -keyout /etc/ssl/private/front.key -out /etc/ssl/certs/front.crt
COPY front.conf /etc/nginx/nginx.conf
EXPOSE 443
CMD ["nginx", "-g", "daemon off;"]
