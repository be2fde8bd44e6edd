import type { Service } from '../project/model.ts';

/** Programs that look up their upstreams once, and how each is told to look again without dropping a connection. */
const RELOADS: { image: RegExp; command: string[] }[] = [
  { image: /(^|\/)(nginx|nginx-unprivileged|openresty)(:|@|$)/, command: ['nginx', '-s', 'reload'] },
  { image: /(^|\/)(httpd|apache)(:|@|$)/, command: ['httpd', '-k', 'graceful'] },
  { image: /(^|\/)caddy(:|@|$)/, command: ['caddy', 'reload', '--config', '/etc/caddy/Caddyfile'] },
];

const WATCHES_BY_ITSELF = /(^|\/)(traefik|nginx-proxy|haproxy|envoy)/;

/** A proxy of the user's own: known by its image and by ports or routes that face the outside. */
export function isReverseProxy(service: Service): boolean {
  const known = RELOADS.some(({ image }) => image.test(service.image)) || WATCHES_BY_ITSELF.test(service.image);
  return known && (service.publishedPorts.length > 0 || service.edge.length > 0);
}

export const reloadCommand = (service: Service): string[] | undefined => RELOADS.find(({ image }) => image.test(service.image))?.command;
