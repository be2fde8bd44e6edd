import type { EdgeState } from '../model.ts';

export interface AcmeSettings {
  email: string;
  /** URL of the ACME directory. */
  directory: string;
  /** Extra authority to trust for the ACME server itself, for an authority of one's own. PEM file. */
  caFile?: string;
}

export type CertificateSource =
  | { kind: 'acme'; acme: AcmeSettings | undefined }
  | { kind: 'file'; certificateFile: string; keyFile: string };

/** Stands for the routes without a host, which only a certificate of one's own can serve. */
export const ANY_HOST = '*';

/**
 * The hosts that want TLS, each with the source of its certificate. The first route that names a host decides. Names that only redirect
 * need a certificate of the authority too; one's own certificate serves all the names that it holds by itself.
 */
export function wantedHosts(state: EdgeState): Map<string, CertificateSource> {
  const wanted = new Map<string, CertificateSource>();
  for (const project of Object.values(state.projects)) {
    for (const route of Object.values(project.backends).flatMap((backend) => backend.routes)) {
      if (route.kind !== 'http' || route.tls === 'none') continue;
      const own = route.tls === 'acme' ? undefined : route.tls;
      if (!own && route.host === undefined) continue;
      const source: CertificateSource = own ? { kind: 'file', ...own } : { kind: 'acme', acme: project.acme };
      for (const host of own ? [route.host ?? ANY_HOST] : [route.host ?? ANY_HOST, ...route.redirectFrom]) {
        if (!wanted.has(host)) wanted.set(host, source);
      }
    }
  }
  return wanted;
}
