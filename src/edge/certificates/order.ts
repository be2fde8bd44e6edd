import { readFile } from 'node:fs/promises';
import acme from 'acme-client';
import { Failure } from '../../kit/errors.ts';
import { bundle } from './pem.ts';
import { observeHost, probableReason } from './reason.ts';
import { type Account, readAccount, writeAccount } from './store.ts';
import { type AcmeProblem, withAcmeTransport } from './transport.ts';
import type { AcmeSettings } from './wanted.ts';

/** Where the answers to HTTP-01 challenges are put so that port 80 of the host gives them. */
export interface Challenges {
  setChallenge(token: string, keyAuthorization: string): Promise<void>;
  clearChallenge(token: string): Promise<void>;
}

/** How the library waits for the authority's decisions: 30 looks, at first every 0.5 s, then up to every 4 s: a good minute and a half. */
const PATIENCE = { backoffAttempts: 30, backoffMin: 500, backoffMax: 4000 };

/**
 * Orders a certificate for one host by HTTP-01 with a new ECDSA P-256 key, and returns chain and key as one PEM text.
 * Throws Failure CERTIFICATE_FAILED with the authority's words and the probable reason; its cause is the AcmeProblem when there was one.
 */
export async function orderCertificate(input: {
  stateFolder: string;
  acme: AcmeSettings;
  host: string;
  challenges: Challenges;
  signal?: AbortSignal;
}): Promise<string> {
  const { stateFolder, host } = input;
  const problems: AcmeProblem[] = [];
  try {
    const ca = input.acme.caFile === undefined ? undefined : await readFile(input.acme.caFile, 'utf8');
    return await withAcmeTransport({ ca, signal: input.signal, problems }, async () => {
      try {
        return await order(input, await readAccount(stateFolder, input.acme.directory));
      } catch (error) {
        // The authority forgot the account, as a test authority does when it restarts: the same key is registered again, once.
        if (problems.at(-1)?.type !== 'accountDoesNotExist') throw error;
        const account = await readAccount(stateFolder, input.acme.directory);
        return await order(input, account ? { directory: account.directory, key: account.key } : undefined);
      }
    });
  } catch (error) {
    if (input.signal?.aborted) throw input.signal.reason;
    // A rejected nonce is asked anew by the library; only what came after it counts.
    const problem = problems.findLast(({ type }) => type !== 'badNonce');
    throw await failure(host, input.acme, error, problem);
  }
}

async function order(
  { stateFolder, acme: settings, host, challenges }: Parameters<typeof orderCertificate>[0],
  known: Account | undefined,
): Promise<string> {
  const account = known ?? { directory: settings.directory, key: (await acme.crypto.createPrivateEcdsaKey('P-256')).toString() };
  if (!known) await writeAccount(stateFolder, account);
  const client = new acme.Client({
    directoryUrl: settings.directory,
    accountKey: account.key,
    ...(account.url ? { accountUrl: account.url } : {}),
    ...PATIENCE,
  });
  if (!account.url) {
    await client.createAccount({ termsOfServiceAgreed: true, contact: [`mailto:${settings.email}`] });
    await writeAccount(stateFolder, { ...account, url: client.getAccountUrl() });
  }
  const [key, request] = await acme.crypto.createCsr({ altNames: [host] }, await acme.crypto.createPrivateEcdsaKey('P-256'));
  const chain = await client.auto({
    csr: request,
    challengePriority: ['http-01'],
    // The host's public name often cannot be reached from the host itself (NAT), so only the authority's own look counts.
    skipChallengeVerification: true,
    challengeCreateFn: (_authorization, challenge, keyAuthorization) => {
      if (challenge.type !== 'http-01') throw new Error(`the authority offers no http-01 challenge for ${host}`);
      return challenges.setChallenge(challenge.token, keyAuthorization);
    },
    challengeRemoveFn: (_authorization, challenge) => challenges.clearChallenge(challenge.token),
  });
  return bundle(chain, key.toString());
}

async function failure(host: string, settings: AcmeSettings, error: unknown, problem: AcmeProblem | undefined): Promise<Failure> {
  if (error instanceof Failure) return error;
  const authority = new URL(settings.directory).host;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' && settings.caFile !== undefined) {
    return new Failure('CERTIFICATE_FAILED', `certificate of ${host}: ${settings.caFile} does not exist`, {
      next: 'correct x-composure.edge.acme.caFile',
      cause: error,
    });
  }
  const said = problem
    ? `${problem.type}: ${problem.detail}`
    : `${code ? `${code} ` : ''}${error instanceof Error ? error.message : String(error)}`;
  const reason = probableReason(host, problem, problem ? await observeHost(host) : { resolved: [], local: [] });
  return new Failure('CERTIFICATE_FAILED', `certificate of ${host}: ${reason.why}`, {
    where: host,
    next: reason.next,
    details: [`${authority} said: ${said}`],
    cause: problem ?? error,
  });
}
