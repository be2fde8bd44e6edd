/** A host that needs a certificate from a certificate authority. Times everywhere here: milliseconds since 1970. */
export interface WantedCertificate {
  host: string;
  /** The ACME directory that it shall come from. */
  directory: string;
}

export interface HeldCertificate {
  host: string;
  notBefore: number;
  notAfter: number;
  /** The ACME directory that it came from; undefined when it is not known. */
  directory?: string;
}

/** What went wrong since the host's last success. */
export interface FailedAttempts {
  /** When the attempts ended, oldest first. */
  at: number[];
  /** The authority asked not to be bothered before then. */
  notBefore?: number;
  message: string;
}

export interface CertificateStep {
  host: string;
  /** `wait`: something is to be done, but not yet. */
  action: 'issue' | 'renew' | 'keep' | 'wait';
  why: string;
  /** When this host is due next. */
  at: number;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** How long to wait after the first, second, … failure in a row. */
const BACK_OFF = [MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR];

/** Let's Encrypt refuses a host after five failed validations within an hour. */
const FAILURES_PER_HOUR = 5;

/** When a certificate is due for renewal: a third of its life is left. That is 30 days of 90, and 2 days of 6. */
export function renewalTime(certificate: { notBefore: number; notAfter: number }): number {
  return certificate.notAfter - (certificate.notAfter - certificate.notBefore) / 3;
}

/** Decides for each wanted host what is to be done about its certificate now. One host's trouble never changes another's step. */
export function planCertificates(input: {
  wanted: WantedCertificate[];
  have: HeldCertificate[];
  failures: Record<string, FailedAttempts>;
  now: number;
}): CertificateStep[] {
  const { now } = input;
  return input.wanted.map(({ host, directory }) => {
    const held = input.have.find((certificate) => certificate.host === host);
    const due = dueStep(host, directory, held, now);
    if (due.action === 'keep') return due;
    const failed = input.failures[host];
    const retry = failed ? retryTime(failed) : undefined;
    if (!failed || !retry || retry.at <= now) return due;
    return { host, action: 'wait', why: `${retry.why}; last answer: ${failed.message}`, at: retry.at };
  });
}

function dueStep(host: string, directory: string, held: HeldCertificate | undefined, now: number): CertificateStep {
  if (!held) return { host, action: 'issue', why: 'there is no certificate yet', at: now };
  if (held.directory !== undefined && held.directory !== directory) {
    return { host, action: 'issue', why: `the certificate comes from ${held.directory}, wanted is ${directory}`, at: now };
  }
  if (held.notAfter <= now) return { host, action: 'issue', why: `the certificate expired on ${day(held.notAfter)}`, at: now };
  const renewal = renewalTime(held);
  if (renewal <= now)
    return { host, action: 'renew', why: `less than a third of its life is left, it ends on ${day(held.notAfter)}`, at: now };
  return { host, action: 'keep', why: `valid until ${day(held.notAfter)}`, at: renewal };
}

function retryTime(failed: FailedAttempts): { at: number; why: string } | undefined {
  const last = failed.at.at(-1);
  if (last === undefined) return undefined;
  const pause = BACK_OFF[Math.min(failed.at.length, BACK_OFF.length) - 1] ?? 0;
  const fifthLast = failed.at.at(-FAILURES_PER_HOUR);
  const reasons = [
    {
      at: last + pause,
      why: `${failed.at.length} failed ${failed.at.length === 1 ? 'attempt' : 'attempts'}, the next one after ${pause / MINUTE} min`,
    },
    { at: fifthLast === undefined ? 0 : fifthLast + HOUR, why: `${FAILURES_PER_HOUR} failed attempts within an hour are the limit` },
    { at: failed.notBefore ?? 0, why: 'the certificate authority asked to wait' },
  ];
  return reasons.reduce((latest, reason) => (reason.at > latest.at ? reason : latest));
}

const day = (time: number): string => new Date(time).toISOString().slice(0, 10);
