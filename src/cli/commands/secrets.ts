import { hostname } from 'node:os';
import { relative, resolve } from 'node:path';
import { Failure } from '../../kit/errors.ts';
import { runAttached } from '../../kit/spawn.ts';
import { findProject } from '../../project/find.ts';
import {
  addingRecipient,
  changeRecipients,
  checkName,
  checkValue,
  findRecipient,
  removeSecrets,
  type SecretsChanged,
  setSecrets,
  unknownSecret,
} from '../../secrets/change.ts';
import { parseDotenv } from '../../secrets/dotenv.ts';
import { ensureIdentity, findIdentity, identityPath } from '../../secrets/identity.ts';
import { type Recipient, type SecretsFile, type SecretsPlace, secretsPath } from '../../secrets/model.ts';
import { openSecrets, secretEnvironment } from '../../secrets/open.ts';
import { EMPTY, outOfStep, readSecretsFile, readSecretsFiles, refuseEditedRecipients } from '../../secrets/store.ts';
import { ask } from '../context.ts';
import type { Outcome, ProjectFlags } from '../flags.ts';
import type { Io } from '../io.ts';
import { table } from '../render/table.ts';
import { readSecretValue, readTextFile } from '../secret-input.ts';

export interface SecretsFlags extends ProjectFlags {
  dryRun?: boolean;
  yes?: boolean;
  fromFile?: string;
  show?: boolean;
  label?: string;
}

const say = (io: Io, flags: SecretsFlags, data: object, text: string): void =>
  io.stdout(flags.json ? `${JSON.stringify(data)}\n` : `${text}\n`);

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;

/** The project's folder, found as for every other command, but without asking Compose. */
async function placeOf(io: Io, flags: SecretsFlags): Promise<SecretsPlace> {
  const { folder } = await findProject({
    cwd: io.cwd,
    ...(flags.file ? { files: flags.file } : {}),
    ...(flags.projectDirectory ? { projectDirectory: flags.projectDirectory } : {}),
    ...(flags.env ? { env: flags.env } : {}),
    environment: io.env,
  });
  return { folder, ...(flags.env ? { environment: flags.env } : {}) };
}

/** What a new file gets as its first recipient, and what is said about it. */
export function firstRecipient(io: Io): { first: () => Promise<Recipient>; said: () => { file: string; recipient: string } | undefined } {
  let made: { file: string; recipient: string } | undefined;
  return {
    first: async () => {
      const { identity, created } = await ensureIdentity(io.env);
      const recipient = identity.recipients[0] ?? '';
      if (created) made = { file: identity.file, recipient };
      return { recipient, label: hostname() };
    },
    said: () => made,
  };
}

export function describeNewIdentity(made: { file: string; recipient: string } | undefined): string[] {
  if (!made) return [];
  return [
    `this machine got an identity: ${made.file}, its recipient is ${made.recipient}`,
    'without it nobody can read the file: add a recipient that you keep elsewhere (composure secrets recipients add)',
  ];
}

const setText = (file: string, { added, replaced, content }: Pick<SecretsChanged, 'added' | 'replaced' | 'content'>): string[] => [
  ...(added.length > 0 ? [`${added.join(', ')} set in ${file} for ${count(content.recipients.length, 'recipient')}`] : []),
  ...(replaced.length > 0 ? [`${replaced.join(', ')} replaced in ${file} for ${count(content.recipients.length, 'recipient')}`] : []),
];

export async function secretsSetCommand(io: Io, name: string, flags: SecretsFlags): Promise<void> {
  checkName(name);
  const file = secretsPath(await placeOf(io, flags));
  if (flags.dryRun) {
    const before = (await readSecretsFile(file)) ?? EMPTY;
    await refuseEditedRecipients(before, file);
    const there = name in before.secrets;
    say(
      io,
      flags,
      { file, added: there ? [] : [name], replaced: there ? [name] : [], recipients: before.recipients },
      `${name} would be ${there ? 'replaced' : 'set'} in ${file}, for ${count(before.recipients.length, 'recipient')}${before.recipients.length === 0 ? ': this machine would become the first' : ''}`,
    );
    return;
  }
  const value = await readSecretValue(io, name, flags.fromFile);
  const { first, said } = firstRecipient(io);
  const changed = await setSecrets(file, { [name]: value }, first);
  const { added, replaced, content } = changed;
  say(
    io,
    flags,
    { file, added, replaced, recipients: content.recipients, identity: said() },
    [...setText(file, changed), ...describeNewIdentity(said())].join('\n'),
  );
}

export async function secretsGetCommand(io: Io, name: string, flags: SecretsFlags): Promise<void> {
  checkName(name);
  if ((io.outIsTTY ?? io.isTTY) && !flags.show) {
    throw new Failure('USAGE', 'the value would be shown on this terminal', {
      next: `add --show if nobody looks on, or pass it to a program: composure secrets get ${name} | …`,
    });
  }
  const place = await placeOf(io, flags);
  const secrets = await openSecrets(place, io.env);
  if (!secrets) throw unknownSecret(name, secretsPath(place), []);
  const value = await secrets.value(name);
  io.stdout(flags.json ? `${JSON.stringify({ name, value })}\n` : `${value}${flags.show && (io.outIsTTY ?? io.isTTY) ? '\n' : ''}`);
}

export async function secretsListCommand(io: Io, flags: SecretsFlags): Promise<void> {
  const place = await placeOf(io, flags);
  const files = await readSecretsFiles(place);
  const own = await ownRecipients(io);
  const listed = await Promise.all(
    files.map(async ({ file, content }) => ({
      file,
      names: Object.keys(content.secrets).sort(),
      recipients: content.recipients.map((entry) => ({ ...entry, thisMachine: own.includes(entry.recipient) })),
      outOfStep: await outOfStep(content),
    })),
  );
  if (flags.json) {
    io.stdout(`${JSON.stringify({ files: listed })}\n`);
    return;
  }
  if (listed.length === 0) io.stdout(`the project has no secrets yet: composure secrets set NAME makes ${secretsPath(place)}\n`);
  for (const { file, names, recipients, outOfStep: odd } of listed) {
    io.stdout(
      `${file}\n${names.map((name) => `  ${name}${odd.includes(name) ? '  (not encrypted for the recipients listed)' : ''}\n`).join('')}`,
    );
    io.stdout(`readable by\n${recipients.map((entry) => `  ${describeRecipient(entry)}\n`).join('')}`);
    if (odd.length > 0) io.stdout('if the list of recipients is right: composure secrets recipients sync\n');
  }
}

const describeRecipient = ({ recipient, label, thisMachine }: Recipient & { thisMachine?: boolean }): string =>
  `${label || '(no label)'}${thisMachine ? ' (this machine)' : ''}  ${recipient}`;

/** An identity that cannot be used must not keep anyone from seeing the names. */
async function ownRecipients(io: Io): Promise<string[]> {
  try {
    return (await findIdentity(io.env))?.recipients ?? [];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [];
  }
}

export async function secretsRemoveCommand(io: Io, names: string[], flags: SecretsFlags): Promise<void> {
  for (const name of names) checkName(name);
  const file = secretsPath(await placeOf(io, flags));
  const before = await readSecretsFile(file);
  const missing = names.find((name) => !(name in (before?.secrets ?? {})));
  if (missing !== undefined) throw unknownSecret(missing, file, Object.keys(before?.secrets ?? {}));
  if (flags.dryRun) {
    say(io, flags, { file, removed: names }, `${names.join(', ')} would be removed from ${file}`);
    return;
  }
  await removeSecrets(file, names);
  say(io, flags, { file, removed: names }, `${names.join(', ')} removed from ${file}; Git’s history still has them, encrypted`);
}

export async function secretsImportCommand(io: Io, dotenv: string, flags: SecretsFlags): Promise<void> {
  const { values, problems } = parseDotenv(await readTextFile(io, dotenv));
  if (problems.length > 0) {
    throw new Failure('USAGE', `${dotenv} holds lines that cannot be imported; nothing was imported`, {
      where: `${dotenv}:${problems[0]?.line}`,
      details: problems.map(({ line, text }) => `${dotenv}:${line}: ${text}`),
      next: 'take these lines out, and set those values by composure secrets set NAME',
    });
  }
  for (const [name, value] of Object.entries(values)) checkValue(name, value);
  const names = Object.keys(values);
  if (names.length === 0)
    throw new Failure('USAGE', `${dotenv} holds no values`, { where: dotenv, next: 'give a file of lines NAME=value' });
  const file = secretsPath(await placeOf(io, flags));
  const plain = resolve(io.cwd, dotenv);
  if (flags.dryRun) {
    const before = (await readSecretsFile(file)) ?? EMPTY;
    await refuseEditedRecipients(before, file);
    const replaced = names.filter((name) => name in before.secrets);
    const added = names.filter((name) => !replaced.includes(name));
    say(
      io,
      flags,
      { file, added, replaced, plain, recipients: before.recipients },
      [
        ...(added.length > 0 ? [`would be set in ${file}: ${added.join(', ')}`] : []),
        ...(replaced.length > 0 ? [`would be replaced in ${file}: ${replaced.join(', ')}`] : []),
      ].join('\n'),
    );
    return;
  }
  const { first, said } = firstRecipient(io);
  const changed = await setSecrets(file, values, first);
  const { added, replaced, content } = changed;
  say(
    io,
    flags,
    { file, added, replaced, plain, recipients: content.recipients, identity: said() },
    [
      ...setText(file, changed),
      ...describeNewIdentity(said()),
      `${plain} is still there and holds them in plain text: remove it once all works, and change values that were ever committed or sent with it`,
    ].join('\n'),
  );
}

export async function secretsIdentityCommand(io: Io, flags: SecretsFlags): Promise<void> {
  if (flags.dryRun) {
    const present = await findIdentity(io.env);
    const file = identityPath(io.env);
    say(
      io,
      flags,
      { file, created: false, recipients: present?.recipients ?? [] },
      present ? present.recipients.join('\n') : `an identity would be made: ${file}`,
    );
    return;
  }
  const { identity, created } = await ensureIdentity(io.env);
  if (created && !flags.json) io.stderr(`made ${identity.file}\n`);
  say(io, flags, { file: identity.file, created, recipients: identity.recipients }, identity.recipients.join('\n'));
}

export async function recipientsListCommand(io: Io, flags: SecretsFlags): Promise<void> {
  const { file, content } = await presentFile(io, flags);
  const own = await ownRecipients(io);
  const recipients = content.recipients.map((entry) => ({ ...entry, thisMachine: own.includes(entry.recipient) }));
  if (flags.json) {
    io.stdout(`${JSON.stringify({ file, recipients })}\n`);
    return;
  }
  const rows = recipients.map(({ recipient, label, thisMachine }) => [label, recipient, thisMachine ? 'this machine' : '']);
  io.stdout(table(['LABEL', 'RECIPIENT', ''], rows));
}

export async function recipientsAddCommand(io: Io, recipient: string, flags: SecretsFlags): Promise<void> {
  const { file, content } = await presentFile(io, flags);
  const change = await addingRecipient(recipient, flags.label);
  await refuseEditedRecipients(content, file);
  await applyRecipients(io, flags, file, content, change, (after) => [
    `${flags.label ?? recipient} can read ${file}; ${count(Object.keys(after.secrets).length, 'value')} encrypted for ${count(after.recipients.length, 'recipient')}`,
  ]);
}

export async function recipientsRemoveCommand(io: Io, named: string, flags: SecretsFlags): Promise<void> {
  const { file, content } = await presentFile(io, flags);
  const gone = findRecipient(content.recipients, named);
  const own = await ownRecipients(io);
  const left = content.recipients.filter((entry) => entry.recipient !== gone.recipient);
  const locksOut = own.includes(gone.recipient) && !left.some((entry) => own.includes(entry.recipient));
  if (locksOut && left.length > 0 && !flags.dryRun) {
    if (!flags.json) io.stdout(`${describeRecipient(gone)} is this machine: it will not be able to read ${file} any more.\n`);
    if (!(await ask(io, 'Remove it?', flags.yes))) throw new Failure('DECLINED', 'not confirmed; nothing was touched');
  }
  await applyRecipients(
    io,
    flags,
    file,
    content,
    (before) => before.filter((entry) => entry.recipient !== gone.recipient),
    (after) => [
      `${gone.label || gone.recipient} cannot read what ${file} holds from now on`,
      ...(Object.keys(after.secrets).length > 0
        ? [
            `it has been able to read the present values, and Git keeps the old file: change them where they are used, then set them: ${Object.keys(after.secrets).sort().join(', ')}`,
          ]
        : []),
    ],
  );
}

export async function recipientsSyncCommand(io: Io, flags: SecretsFlags): Promise<void> {
  const { file, content } = await presentFile(io, flags);
  await applyRecipients(
    io,
    flags,
    file,
    content,
    (before) => [...before],
    (after) => [
      `${count(Object.keys(after.secrets).length, 'value')} encrypted anew for:`,
      ...after.recipients.map((entry) => `  ${describeRecipient(entry)}`),
    ],
  );
}

async function presentFile(io: Io, flags: SecretsFlags): Promise<{ file: string; content: SecretsFile }> {
  const file = secretsPath(await placeOf(io, flags));
  const content = await readSecretsFile(file);
  if (content) return { file, content };
  throw new Failure('SECRET_UNKNOWN', 'the project has no file of secrets yet', {
    where: file,
    next: 'composure secrets set NAME makes it',
  });
}

async function applyRecipients(
  io: Io,
  flags: SecretsFlags,
  file: string,
  before: SecretsFile,
  change: (before: readonly Recipient[]) => Recipient[],
  describe: (after: SecretsFile) => string[],
): Promise<void> {
  if (flags.dryRun) {
    const wanted = change(before.recipients);
    say(
      io,
      flags,
      { file, recipients: wanted, names: Object.keys(before.secrets) },
      [
        `${count(Object.keys(before.secrets).length, 'value')} of ${file} would be encrypted anew for:`,
        ...wanted.map((entry) => `  ${describeRecipient(entry)}`),
      ].join('\n'),
    );
    return;
  }
  const after = await changeRecipients(file, io.env, change);
  say(io, flags, { file, recipients: after.recipients, names: Object.keys(after.secrets) }, describe(after).join('\n'));
}

/** Runs a program with the project's secrets in its environment, so that the plain `docker compose` sees what Composure's calls see. */
export async function secretsExecCommand(io: Io, command: string[], flags: SecretsFlags, outcome: Outcome): Promise<void> {
  const place = await placeOf(io, flags);
  const secrets = await openSecrets(place, io.env);
  const names = (secrets?.names ?? []).filter((name) => io.env[name] === undefined);
  if (flags.dryRun) {
    say(io, flags, { command, names }, `${command.join(' ')} would get ${names.join(', ') || 'no secret'}`);
    return;
  }
  const values = secrets ? await secretEnvironment(secrets, names) : {};
  const [program = '', ...args] = command;
  const code = await runAttached(program, args, { cwd: io.cwd, env: { ...io.env, ...values } });
  if (code === 127)
    throw new Failure('COMMAND_FAILED', `${program} cannot be run`, {
      where: relative(io.cwd, program) || program,
      next: 'check its name and the PATH',
    });
  outcome.code = code;
}
