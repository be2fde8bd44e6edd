/**
 * A plain HAProxy that follows a name in Docker's DNS, as one would set it up for the methods that bring no proxy of their own:
 * health checks, a new look at the name each second, and another try on another server when a connection fails.
 */
export const followDns = (name: string): string => `
global
  maxconn 2000
defaults
  mode http
  timeout connect 2s
  timeout client 1m
  timeout server 1m
  timeout tunnel 1h
  retries 3
  option redispatch
resolvers docker
  nameserver dns 127.0.0.11:53
  resolve_retries 3
  timeout resolve 1s
  timeout retry 1s
  hold valid 1s
frontend web
  bind :8080
  default_backend api
backend api
  balance roundrobin
  option httpchk GET /health
  server-template api 8 ${name}:8000 check inter 1s fall 2 rise 1 resolvers docker init-addr none
`;
