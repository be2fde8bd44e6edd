import { parse, stringify } from 'yaml';
import { Failure } from '../kit/errors.ts';
import { decryptText, encryptText } from '../secrets/encryption.ts';

/** Everything that bringing a project back needs and an empty machine has not. It holds secrets: never print it or keep it unencrypted. */
export interface RecoveryKit {
  project: string;
  /** ISO 8601. */
  madeAt: string;
  /** The machine that the backups come from. */
  host: string;
  /** Versions that made the backups. */
  versions: { composure: string; restic: string };
  repository: {
    /** As restic takes it, for example s3:https://s3.example.com/bucket/shop. */
    address: string;
    password: string;
    /** What restic needs in its environment to reach the storage, for example AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. */
    environment: Record<string, string>;
  };
  /** Private keys that open the project's file of secrets: lines AGE-SECRET-KEY-1…; empty when it has none. */
  identities: string[];
}

const FORMAT = 'composure-recovery-kit/1';

/** What to do on an empty machine, with nothing secret in it. */
function instructions({ project, repository, versions }: RecoveryKit): string[] {
  const address = withoutPassword(repository.address);
  return [
    'On an empty machine, as root:',
    '1. Install Docker Engine with Compose, restic and age, and Composure: npm install -g composure',
    '2. Open this kit with the key that you kept apart from it:',
    '     umask 077; age --decrypt -i KEY-FILE -o kit.yaml kit.age',
    '3. Write the lines under "identities" into a file:',
    '     mkdir -p -m 700 /var/lib/composure, then put them into /var/lib/composure/identity with mode 600',
    '4. Put the password and the keys under "repository" into the environment, without typing them on a command line:',
    '     RESTIC_PASSWORD and the variables under "environment", for example with read -rs RESTIC_PASSWORD; export RESTIC_PASSWORD',
    `5. composure rebuild --from ${address}`,
    `   or, without Composure: restic -r ${address} snapshots --tag project=${project}`,
    `   (the backups were made with Composure ${versions.composure} and restic ${versions.restic})`,
    '6. Remove kit.yaml: shred -u kit.yaml',
  ];
}

/** An address such as rest:https://shop:PASSWORD@backup.example.com/ without the password in it. */
const withoutPassword = (address: string): string => address.replace(/(\/\/[^/@:]*):[^/@]*@/, '$1:…@');

/** The kit as text that a person can read and follow without any program of ours. Pure. */
export function printKit(kit: RecoveryKit): string {
  const { project, madeAt, host, versions, repository, identities } = kit;
  const comments = [`Recovery kit of ${project}. It holds secrets in plain text.`, '', ...instructions(kit)];
  const data = stringify({ format: FORMAT, project, madeAt, host, versions, repository, identities }, { lineWidth: 0 });
  return `${comments.map((line) => (line === '' ? '#' : `# ${line}`)).join('\n')}\n${data}`;
}

/** Reads what printKit made; throws KIT_INVALID. Pure. */
export function parseKit(text: string, where: string): RecoveryKit {
  let content: unknown;
  try {
    content = parse(text);
  } catch {
    throw invalid('it is damaged', where);
  }
  const { format, ...kit } = mapping(content);
  if (typeof format === 'string' && format.startsWith('composure-recovery-kit/') && format !== FORMAT)
    throw invalid('a newer version of Composure made it', where, 'update Composure, or follow the steps that the kit itself gives');
  const repository = mapping(kit.repository);
  const versions = mapping(kit.versions);
  const texts = [kit.project, kit.madeAt, kit.host, versions.composure, versions.restic, repository.address, repository.password];
  const keys = Object.values(mapping(repository.environment));
  const isWhole =
    format === FORMAT &&
    [...texts, ...keys].every((value) => typeof value === 'string') &&
    Array.isArray(kit.identities) &&
    kit.identities.every((value) => typeof value === 'string');
  if (!isWhole) throw invalid('it is no recovery kit, or a part of it is missing', where);
  return kit as unknown as RecoveryKit;
}

/**
 * The kit as one age file, to recipients whose keys are kept off this machine. Any of them opens it, also by `age --decrypt` alone.
 * Throws USAGE when there is no recipient.
 */
export async function sealKit(kit: RecoveryKit, recipients: readonly string[]): Promise<string> {
  if (recipients.length === 0) {
    throw new Failure('USAGE', 'a recovery kit needs a recipient whose key is kept off this machine', {
      next: 'make one on another machine with age-keygen, and give what it prints (age1…)',
    });
  }
  return encryptText(printKit(kit), recipients);
}

/** Opens a sealed kit with private keys (AGE-SECRET-KEY-1…); `where` names the file in messages. Throws KIT_INVALID or IDENTITY_REFUSED. */
export async function openKit(file: Uint8Array, identities: readonly string[], where: string): Promise<RecoveryKit> {
  const text = await decryptText(file, identities);
  if (text === 'no identity') {
    throw new Failure('IDENTITY_REFUSED', 'this identity does not open the recovery kit', {
      where,
      next: 'use the key whose recipient is on the kit’s cover page',
    });
  }
  if (text === 'damaged') throw invalid('it is damaged or no age file', where);
  return parseKit(text, where);
}

/** A page to print and to keep with the kit: what it is, who opens it, what to type. Nothing on it is secret. Pure. */
export function coverPage(kit: RecoveryKit, recipients: readonly string[]): string {
  const { project, madeAt, host, repository } = kit;
  return [
    `RECOVERY KIT: ${project}`,
    '',
    `Made     ${madeAt} on ${host}`,
    `Backups  ${withoutPassword(repository.address)}`,
    `Opens    with the key of ${recipients.join(', ')}`,
    '',
    'The kit is the file kit.age. It holds the password of the backups, the keys of their storage and the key of the',
    'project’s secrets. Keep it, and the key that opens it, in two places, both away from the machine.',
    'Make a new kit when one of them changes.',
    '',
    ...instructions(kit),
    '',
  ].join('\n');
}

function invalid(what: string, where: string, next = 'use another copy of the kit'): Failure {
  return new Failure('KIT_INVALID', `the recovery kit cannot be used: ${what}`, { where, next });
}

const mapping = (value: unknown): Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
