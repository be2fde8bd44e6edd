import { createPrivateKey, X509Certificate } from 'node:crypto';
import { Failure } from '../../kit/errors.ts';
import { ANY_HOST } from './wanted.ts';

/** What a certificate says about itself. Times: milliseconds since 1970. */
export interface CertificateFacts {
  /** Its DNS names, lower case; a wildcard as "*.example.com". */
  names: string[];
  notBefore: number;
  notAfter: number;
  issuer: string;
  /** SHA-256 of the certificate, upper-case hex with colons, as browsers show it. */
  fingerprint: string;
}

/** Reads the first certificate of a PEM text. Throws when there is none. */
export function readCertificate(pem: string): CertificateFacts {
  const certificate = new X509Certificate(pem);
  const names = [...(certificate.subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g)].map(([, name]) => (name ?? '').toLowerCase());
  return {
    names,
    notBefore: Date.parse(certificate.validFrom),
    notAfter: Date.parse(certificate.validTo),
    issuer: /^(?:CN|O)=(.+)$/m.exec(certificate.issuer)?.[1] ?? certificate.issuer.replaceAll('\n', ', '),
    fingerprint: certificate.fingerprint256,
  };
}

/** Whether one of the names stands for the host; a wildcard stands for exactly one label. For any host every name will do. */
export function coversHost(names: readonly string[], host: string): boolean {
  const parent = host.slice(host.indexOf('.'));
  return host === ANY_HOST || names.includes(host) || (host.includes('.') && names.includes(`*${parent}`));
}

/**
 * The certificate, its chain and its key as one PEM text for the edge, after proof that they belong together, cover the host and are in force.
 * Throws Failure CERTIFICATE_FAILED; no error text holds any of the key.
 */
export function joinCertificate(
  host: string,
  chain: string,
  key: string,
  now: number,
  where: { certificate: string; key: string },
): string {
  let facts: CertificateFacts;
  let certificate: X509Certificate;
  try {
    facts = readCertificate(chain);
    certificate = new X509Certificate(chain);
  } catch {
    throw refuse(
      host,
      'the certificate file holds no certificate in PEM form',
      where.certificate,
      'it must begin with -----BEGIN CERTIFICATE-----',
    );
  }
  let matches: boolean;
  try {
    matches = certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw refuse(host, 'the key file holds no private key that can be read', where.key, 'give an unencrypted private key in PEM form');
  }
  if (!matches)
    throw refuse(host, 'the key does not belong to the certificate', where.key, 'give the key that the certificate was made for');
  if (!coversHost(facts.names, host)) {
    throw refuse(
      host,
      `the certificate is for ${facts.names.join(', ') || 'no host name'}`,
      where.certificate,
      'give a certificate that names this host',
    );
  }
  if (facts.notAfter <= now) {
    throw refuse(
      host,
      `the certificate expired on ${new Date(facts.notAfter).toISOString()}`,
      where.certificate,
      'replace the files; they are watched',
    );
  }
  if (facts.notBefore > now) {
    throw refuse(
      host,
      `the certificate is not in force before ${new Date(facts.notBefore).toISOString()}`,
      where.certificate,
      'check the clock of this server',
    );
  }
  return bundle(chain, key);
}

/** Chain and key in one text without blank lines: HAProxy's runtime socket ends a payload at the first one. */
export function bundle(chain: string, key: string): string {
  return `${chain}\n${key}`
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .join('\n')
    .concat('\n');
}

function refuse(host: string, message: string, where: string, next: string): Failure {
  return new Failure('CERTIFICATE_FAILED', `certificate of ${host}: ${message}`, { where, next });
}
