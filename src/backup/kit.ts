import { parse, stringify } from 'yaml';
import { Failure } from '../kit/errors.ts';
import { decryptText, encryptText, type IdentityKey } from '../secrets/encryption.ts';

/** Everything that an empty machine needs besides Docker: it opens the repository and the project's secrets. It is secret as a whole. */
export interface Kit {
  version: 1;
  project: string;
  /** Where the project's files lay. */
  folder: string;
  host: string;
  /** ISO 8601. */
  made: string;
  composure: string;
  restic: string;
  repository: string;
  /** Variables of restic with their values: RESTIC_PASSWORD, credentials of the storage. */
  variables: Record<string, string>;
  /** Private keys of the machine, which open the project's file of secrets. Empty where the project has none. */
  identities: string[];
}

/** The kit as text: what to type, then the same as YAML for `composure rebuild`. Pure. */
export function kitText(kit: Kit): string {
  const { project, folder, host, made, composure, restic, repository, variables } = kit;
  const exports = Object.keys(variables).map((name) => `  export ${name}=…   # from "variables" below`);
  const lines = [
    `Recovery kit of ${project}, made ${made} on ${host} by Composure ${composure}.`,
    '',
    'Whoever can read this can read every backup and every secret of the project. Keep it encrypted, away from the server, in two places.',
    '',
    'On an empty server with Docker Engine and Composure, where KIT is this file still encrypted and KEY the file of the age identity',
    'that opens it:',
    '',
    `  composure rebuild --from ${shellWord(repository)} --kit KIT --identity KEY --dry-run`,
    `  composure rebuild --from ${shellWord(repository)} --kit KIT --identity KEY`,
    '  composure status',
    '',
    'Afterwards, in the project’s folder:',
    '',
    '  composure backup list',
    '  composure backup drill',
    '',
    `Without Composure, with restic ${restic} or newer alone (https://restic.net):`,
    '',
    `  export RESTIC_REPOSITORY=${shellWord(repository)}`,
    ...exports,
    `  restic snapshots --tag composure,project=${project}`,
    '  restic dump SNAPSHOT /manifest.json        # that of a snapshot with the tag store=manifest',
    '  restic restore SNAPSHOT:PATH --target FOLDER',
    '',
    `Every run is one set (tag set=…) of a few snapshots (tag store=… for each thing in it). Its manifest says of every dump and folder what it`,
    `is, its SNAPSHOT and PATH, and what was counted in it. The store project holds the compose files that lay in ${folder}. Dumps of`,
    'PostgreSQL are for pg_restore, those of MySQL and MariaDB for their client, those of Redis are an RDB file for its data folder.',
    '',
    'The project’s secrets lie encrypted in its files. With the identities below in the file IDENTITY:',
    '',
    '  COMPOSURE_IDENTITY=IDENTITY composure secrets list',
  ];
  return `${lines.map((line) => (line === '' ? '#' : `# ${line}`)).join('\n')}\n\n${stringify(kit, { lineWidth: 0 })}`;
}

/** One word for a shell: an address may hold what a shell would read otherwise. */
const shellWord = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The commands of Composure in a kit's text, without the program's name. Pure. */
export const kitCommands = (text: string): string[][] =>
  [...text.matchAll(/^# {3}(?:\w+=\S+ )?composure (.+)$/gm)].map(([, words = '']) => words.split(' '));

/** The kit as an age file in text form, for the offline recipients only. */
export const sealKit = (kit: Kit, recipients: readonly string[]): Promise<string> => encryptText(kitText(kit), recipients);

/**
 * Opens a kit. `where` names the file in messages. Throws IDENTITY_REFUSED when none of the keys opens it, USAGE when it is no kit, or damaged.
 */
export async function openKit(file: Uint8Array, identities: readonly IdentityKey[], where: string): Promise<Kit> {
  const text = await decryptText(file, identities);
  if (text === 'no identity') {
    throw new Failure('IDENTITY_REFUSED', 'the recovery kit was not encrypted for this identity', {
      where,
      next: 'give the identity whose recipient was named when the kit was made: --identity FILE',
    });
  }
  const kit = text === 'damaged' ? undefined : readKit(text);
  if (kit) return kit;
  throw new Failure('USAGE', text === 'damaged' ? 'the recovery kit is damaged, or no age file' : 'the file is no recovery kit', {
    where,
    next: 'take another copy of it; composure backup kit writes a new one on a machine that still runs',
  });
}

function readKit(text: string): Kit | undefined {
  let read: unknown;
  try {
    read = parse(text);
  } catch {
    return undefined;
  }
  const kit = read as Partial<Kit> | null;
  const isWhole =
    kit?.version === 1 &&
    typeof kit.project === 'string' &&
    typeof kit.repository === 'string' &&
    Array.isArray(kit.identities) &&
    kit.identities.every((key) => typeof key === 'string') &&
    typeof kit.variables === 'object' &&
    kit.variables !== null &&
    Object.values(kit.variables).every((value) => typeof value === 'string');
  return isWhole ? (kit as Kit) : undefined;
}

/** What the kit cannot bring back, for who makes one. Pure. */
export function kitWarnings({ repository, variables, identities }: Kit, hasSecretsFile: boolean): string[] {
  return [
    ...(/^[a-z0-9]+:/.test(repository)
      ? []
      : [`the repository is a folder of this machine, ${repository}: it is lost with the machine unless it lies on a disk elsewhere`]),
    ...(repository.startsWith('sftp:') ? ['the SSH key that opens the SFTP server is not in the kit: keep one that the server knows'] : []),
    ...(variables.RESTIC_PASSWORD ? [] : ['RESTIC_PASSWORD is not set']),
    ...(hasSecretsFile && identities.length === 0 ? ['this machine has no identity, so the kit cannot open the project’s secrets'] : []),
  ];
}
