import { createHash, scryptSync } from 'node:crypto';
import type { Problem } from './check.ts';
import type { ContainerFile } from './model.ts';
import { isMapping, mapping } from './services.ts';

type Mapping = Record<string, unknown>;

/** A secret or config of a service whose content is no file of the host: Compose writes it into the container itself. */
export interface WantedFile {
  kind: 'secrets' | 'configs';
  /** Its name in the top-level section. */
  source: string;
  path: string;
  uid: number;
  gid: number;
  mode: number;
  from: { variable: string } | { content: string };
}

/** The files that a service's `secrets` and `configs` ask for and that come from a variable or from the compose file. Pure. */
export function wantedFiles(service: Mapping, model: Mapping): WantedFile[] {
  return (['secrets', 'configs'] as const).flatMap((kind) => {
    const used = service[kind];
    return (Array.isArray(used) ? used : []).flatMap((entry): WantedFile[] => {
      const { source, target, uid, gid, mode } = mapping(entry);
      const name = String(source);
      const { environment, content } = mapping(mapping(model[kind])[name]);
      const from = typeof environment === 'string' ? { variable: environment } : typeof content === 'string' ? { content } : undefined;
      if (!from) return [];
      return [
        {
          kind,
          source: name,
          path: pathOf(kind, typeof target === 'string' && target !== '' ? target : name),
          uid: whole(uid),
          gid: whole(gid),
          // Compose prints modes as octal digits in quotes, older ones as numbers.
          mode: typeof mode === 'number' ? mode : typeof mode === 'string' && /^[0-7]+$/.test(mode) ? Number.parseInt(mode, 8) : 0o444,
          from,
        },
      ];
    });
  });
}

/** As Compose has it: a name without a folder goes to /run/secrets, or for a config to the root. */
function pathOf(kind: 'secrets' | 'configs', target: string): string {
  if (target.startsWith('/')) return target;
  return kind === 'secrets' ? `/run/secrets/${target}` : `/${target}`;
}

const whole = (value: unknown): number => (/^\d+$/.test(String(value ?? '')) ? Number(value) : 0);

/** The variables behind those files, each with where in the model it is named. */
export function fileVariables(services: Mapping, model: Mapping): Map<string, { kind: 'secrets' | 'configs'; source: string }> {
  const found = new Map<string, { kind: 'secrets' | 'configs'; source: string }>();
  for (const service of Object.values(services)) {
    for (const file of wantedFiles(mapping(service), model)) if ('variable' in file.from) found.set(file.from.variable, file);
  }
  return found;
}

/** The files with their content; one whose variable has no value is left out. Pure but for the time that `print` of a secret takes. */
export function containerFiles(
  service: Mapping,
  model: Mapping,
  values: Readonly<Record<string, string>>,
  fingerprints: Readonly<Record<string, string>>,
): ContainerFile[] {
  return wantedFiles(service, model).flatMap(({ from, kind, source, path, uid, gid, mode }) => {
    const content = 'variable' in from ? values[from.variable] : from.content;
    if (content === undefined) return [];
    const known = 'variable' in from ? fingerprints[from.variable] : undefined;
    return [{ path, content, uid, gid, mode, fingerprint: known ?? print(kind, `${String(model.name)}/${source}`, content) }];
  });
}

/** A short secret could be guessed from a plain hash, and hashes are shown; so each guess has to cost something. */
function print(kind: 'secrets' | 'configs', salt: string, content: string): string {
  return kind === 'secrets' ? scryptSync(content, salt, 32).toString('hex') : createHash('sha256').update(content).digest('hex');
}

/** contentHash with those files in it. */
export function hashWithFiles(hash: string, files: readonly ContainerFile[]): string {
  if (files.length === 0) return hash;
  const lines = files.map(({ path, uid, gid, mode, fingerprint }) => `${path}\0${uid}:${gid}\0${mode}\0${fingerprint}\n`);
  return createHash('sha256').update(hash).update(lines.sort().join('')).digest('hex');
}

/** Nothing can be written into a read-only container, and Compose refuses it too, though only when it starts one. */
export function readOnlyProblems(services: Mapping, model: Mapping): Problem[] {
  return Object.entries(services).flatMap(([name, value]): Problem[] => {
    const service = isMapping(value) ? value : {};
    const file = service.read_only === true ? wantedFiles(service, model)[0] : undefined;
    if (!file) return [];
    return [
      {
        path: ['services', name, 'read_only'],
        message: `service ${name}: a read-only container takes ${file.kind} only from files, and ${file.source} comes from ${'variable' in file.from ? `the variable ${file.from.variable}` : 'its content'}`,
      },
    ];
  });
}
