import { stat } from 'node:fs/promises';
import { type ComposeConfig, composeVariables } from '../docker/compose.ts';
import { parseDurationMs } from '../kit/duration.ts';
import { Failure } from '../kit/errors.ts';
import { readServiceBackup } from './backup.ts';
import { serviceBackupKey } from './backup-schema.ts';
import { checkKey, type Problem, placeProblems } from './check.ts';
import { containerFiles, fileVariables, hashWithFiles, readOnlyProblems } from './container-files.ts';
import { contentPaths, hashContent } from './content.ts';
import type { FoundProject } from './find.ts';
import type { AutoscaleSpec, EdgeSpec, Project, ProjectSettings, ReleaseJob, Service, ServiceBackup } from './model.ts';
import { refusal } from './refusals.ts';
import { conflicts, readRoute, readSettings } from './routes.ts';
import { edgeEntry, edgeKey, KEY_NAMES, releaseKey, settingsKey } from './schema.ts';
import { exposureWarnings } from './secrets.ts';
import { isMapping, mapping, type PlainService, readService, undouble } from './services.ts';
import { firstUse, type Path, placeOf, readSources, type Source, sourceText } from './sources.ts';
import { closest } from './suggest.ts';
import { splitWords } from './words.ts';

type Mapping = Record<string, unknown>;

/** How long a release job may run that is not marked with x-release. */
const JOB_TIMEOUT_MS = 600_000;

/** Compose's answer about a project, with our keys checked and everything filled in. Throws what `loadProject` says. */
export async function readProject(
  { folder, files, target }: FoundProject,
  config: ComposeConfig,
  env: string | undefined,
  fingerprints: Readonly<Record<string, string>> = {},
): Promise<Project> {
  const sources = await readSources(files);
  if (!config.ok) throw refusal(config.reason, sources, files, folder);
  const model = mapping(undouble(config.model));
  const name = String(model.name ?? '');
  const services = mapping(model.services);
  const plain = Object.fromEntries(
    Object.entries(services).map(([key, value]) => [key, withZeroMonitor(readService(name, key, mapping(value)), key, sources)]),
  );
  const keys = await readKeys(model, plain, folder, sources);
  const contents = await Promise.all(
    Object.entries(plain).map(
      async ([key, service]) => [key, await hashContent(contentPaths(mapping(services[key]), model, service.mounts))] as const,
    ),
  );
  const content = new Map(contents);
  const { unsetVariables, warnings } = readWarnings(config.warnings, sources, folder);
  const values = await fileValues(services, model, target, folder);
  for (const [variable, { kind, source }] of fileVariables(services, model)) {
    if (values[variable] === undefined && !unsetVariables.some(({ name }) => name === variable))
      unsetVariables.push({ name: variable, where: placeOf(sources, [kind, source, 'environment'], folder) ?? `${kind}.${source}` });
  }
  const full = Object.entries(plain).map(([key, service]): [string, Service] => {
    const release = keys.releases[key];
    const inContainer = containerFiles(mapping(services[key]), model, values, fingerprints);
    const autoscale = keys.autoscales[key];
    return [
      key,
      {
        ...service,
        configHash: config.hashes[key] ?? '',
        contentHash: hashWithFiles(content.get(key)?.hash ?? '', inContainer),
        contentFiles: content.get(key)?.files ?? [],
        edge: keys.edges[key] ?? [],
        ...(inContainer.length > 0 ? { files: inContainer } : {}),
        ...(release ? { release } : {}),
        ...(autoscale ? { autoscale } : {}),
        ...(keys.backups[key] ? { backup: keys.backups[key] } : {}),
      },
    ];
  });
  return {
    name,
    folder,
    compose: target,
    files,
    ...(env === undefined ? {} : { environment: env }),
    services: Object.fromEntries(full),
    networks: mapEntries(model.networks, (key, value) => ({
      name: String(value.name ?? key),
      external: value.external === true,
      definition: value,
    })),
    volumes: mapEntries(model.volumes, (key, value) => ({ name: String(value.name ?? key), external: value.external === true })),
    settings: keys.settings,
    warnings: [
      ...warnings,
      ...keyWarnings(model, sources, folder),
      ...keys.warnings,
      ...exposureWarnings(Object.keys(fingerprints), sources, folder),
    ],
    unsetVariables,
    places: placesOf(Object.keys(services), sources, folder),
    resolved: JSON.stringify(config.model),
  };
}

/** Values of the variables behind secrets and configs. Compose is asked only for what is not in the environment already. */
async function fileValues(
  services: Mapping,
  model: Mapping,
  target: FoundProject['target'],
  folder: string,
): Promise<Readonly<Record<string, string>>> {
  const names = [...fileVariables(services, model).keys()];
  const known: NodeJS.ProcessEnv = { ...process.env, ...target.env };
  const values = Object.fromEntries(names.flatMap((name) => (known[name] === undefined ? [] : [[name, known[name]]])));
  const missing = names.filter((name) => values[name] === undefined);
  return missing.length === 0 ? values : { ...values, ...(await composeVariables(target, folder, missing)) };
}

/** Compose leaves a monitor of 0s out of its answer, where it would look as if the file said nothing. */
function withZeroMonitor(service: PlainService, name: string, sources: readonly Source[]): PlainService {
  const isZero = (key: string): boolean => parseDurationMs(sourceText(sources, ['services', name, 'deploy', key, 'monitor']) ?? '') === 0;
  return {
    ...service,
    update: isZero('update_config') ? { ...service.update, monitorMs: 0 } : service.update,
    rollback: isZero('rollback_config') ? { ...service.rollback, monitorMs: 0 } : service.rollback,
  };
}

function mapEntries<T>(value: unknown, read: (key: string, value: Mapping) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(mapping(value)).map(([key, inside]) => [key, read(key, mapping(inside))]));
}

/** Services whose own lines are in the files that were read; what comes from elsewhere (extends, include) has no place. */
function placesOf(services: readonly string[], sources: readonly Source[], folder: string): NonNullable<Project['places']> {
  const place = (name: string, path: Path) => {
    const where = placeOf(sources, path, folder);
    return where === undefined ? {} : { [name]: where };
  };
  return Object.fromEntries(
    services.map((service) => [
      service,
      {
        ...place('service', ['services', service]),
        ...place('image', ['services', service, 'image']),
        ...place('x-edge', ['services', service, 'x-edge']),
        ...place('x-autoscale', ['services', service, 'x-autoscale']),
        ...place('ports', ['services', service, 'ports']),
      },
    ]),
  );
}

interface Keys {
  settings: ProjectSettings;
  edges: Record<string, EdgeSpec[]>;
  releases: Record<string, ReleaseJob>;
  autoscales: Record<string, AutoscaleSpec>;
  warnings: string[];
  backups: Record<string, ServiceBackup>;
}

async function readKeys(model: Mapping, plain: Record<string, PlainService>, folder: string, sources: readonly Source[]): Promise<Keys> {
  const problems: Problem[] = [];
  const services = mapping(model.services);
  const written = model['x-composure'] ?? {};
  const settings = readSettings(checkKey(settingsKey, written, ['x-composure'], sources, problems) ?? settingsKey.parse({}), folder);
  const routes: { service: string; spec: EdgeSpec; path: Path }[] = [];
  const releases: Record<string, ReleaseJob> = {};
  const backups: Record<string, ServiceBackup> = {};
  for (const service of Object.values(plain)) {
    const own = mapping(services[service.name]);
    if (own['x-edge'] !== undefined) {
      for (const found of readEdge(own['x-edge'], service, settings, folder, sources, problems))
        routes.push({ service: service.name, ...found });
    }
    const job = readRelease(own['x-release'], 'x-release' in own, service.name, sources, problems);
    if (job) releases[service.name] = job;
    if ('x-backup' in own) {
      const path: Path = ['services', service.name, 'x-backup'];
      const key = checkKey(serviceBackupKey, own['x-backup'] ?? {}, path, sources, problems);
      if (key) backups[service.name] = readServiceBackup(key, service.name, path, problems);
    }
  }
  for (const service of Object.values(plain)) {
    for (const [other, { condition }] of Object.entries(service.dependsOn)) {
      if (condition === 'service_completed_successfully' && plain[other]) releases[other] ??= { timeoutMs: JOB_TIMEOUT_MS };
    }
  }
  for (const { service, path } of routes) {
    if (releases[service]) problems.push({ path, message: `service ${service}: a release job ends by itself and cannot have x-edge` });
  }
  const { autoscales, warnings } = await readAutoscales(services, plain, sources, problems);
  for (const service of Object.keys(autoscales)) {
    if (releases[service])
      problems.push({
        path: ['services', service, 'x-autoscale'],
        message: `service ${service}: a release job ends by itself and cannot have x-autoscale`,
      });
  }
  for (const { service, path } of routes) {
    const spec = autoscales[service];
    if (spec?.tier.warm?.kind === 'frozen')
      problems.push({
        path: ['services', service, 'x-autoscale'],
        message: `service ${service}: a frozen container answers no request, and the service has a route; set x-autoscale.tier.warm to stopped or none`,
      });
    if (spec && goesToZero(spec))
      warnings.push({
        path,
        message: `service ${service} has a route and may go to zero, where a request finds nobody; set x-autoscale.minReplicaCount: 1`,
      });
  }
  problems.push(...conflicts(routes, settings), ...(await missingFiles(routes, settings)), ...readOnlyProblems(services, model));
  if (problems.length > 0) throw invalidKeys(problems, sources, folder);
  const edges: Record<string, EdgeSpec[]> = {};
  for (const { service, spec } of routes) edges[service] = [...(edges[service] ?? []), spec];
  const placed = placeProblems(warnings, sources, folder).map(({ where, message }) => `${where}: ${message}`);
  return { settings, edges, releases, autoscales, backups, warnings: placed };
}

const goesToZero = ({ min = 0, idle, triggers }: AutoscaleSpec): boolean =>
  idle === 0 || (min === 0 && triggers.some(({ type }) => type !== 'cpu' && type !== 'memory'));

async function readAutoscales(
  services: Mapping,
  plain: Record<string, PlainService>,
  sources: readonly Source[],
  problems: Problem[],
): Promise<{ autoscales: Record<string, AutoscaleSpec>; warnings: Problem[] }> {
  const autoscales: Record<string, AutoscaleSpec> = {};
  const warnings: Problem[] = [];
  for (const service of Object.values(plain)) {
    const own = mapping(services[service.name]);
    if (!('x-autoscale' in own)) continue;
    // The triggers' schemas are loaded only for projects that have some.
    const { readAutoscale } = await import('./autoscale.ts');
    const ports = Array.isArray(own.ports) ? own.ports : [];
    const spec = readAutoscale({ value: own['x-autoscale'] ?? null, service, ports, sources }, problems, warnings);
    if (spec) autoscales[service.name] = spec;
  }
  return { autoscales, warnings };
}

function readEdge(
  value: unknown,
  service: PlainService,
  settings: ProjectSettings,
  folder: string,
  sources: readonly Source[],
  problems: Problem[],
): { spec: EdgeSpec; path: Path }[] {
  const base: Path = ['services', service.name, 'x-edge'];
  if (!isMapping(value) && !Array.isArray(value)) {
    checkKey(edgeKey, value, base, sources, problems);
    return [];
  }
  const entries: [unknown, Path][] = Array.isArray(value) ? value.map((entry, index) => [entry, [...base, index]]) : [[value, base]];
  return entries.flatMap(([raw, path]) => {
    const entry = checkKey(edgeEntry, raw, path, sources, problems);
    const spec = entry && readRoute({ entry, written: new Set(Object.keys(mapping(raw))), path }, service, settings, folder, problems);
    return spec ? [{ spec, path }] : [];
  });
}

function readRelease(
  value: unknown,
  there: boolean,
  service: string,
  sources: readonly Source[],
  problems: Problem[],
): ReleaseJob | undefined {
  if (!there) return undefined;
  const path: Path = ['services', service, 'x-release'];
  const key = checkKey(releaseKey, value ?? {}, path, sources, problems);
  if (!key) return undefined;
  const command = typeof key.command === 'string' ? splitWords(key.command) : key.command;
  if (key.command !== undefined && command === undefined)
    problems.push({ path: [...path, 'command'], message: `service ${service}: a quote in command is not closed` });
  return { timeoutMs: key.timeout, ...(command === undefined ? {} : { command }) };
}

async function missingFiles(
  routes: readonly { service: string; spec: EdgeSpec; path: Path }[],
  settings: ProjectSettings,
): Promise<Problem[]> {
  const wanted: { path: Path; file: string }[] = [];
  for (const { spec, path } of routes) {
    if (typeof spec.tls !== 'object') continue;
    wanted.push(
      { path: [...path, 'tls', 'cert'], file: spec.tls.certificateFile },
      { path: [...path, 'tls', 'key'], file: spec.tls.keyFile },
    );
  }
  const caFile = settings.edge.acme?.caFile;
  if (caFile !== undefined) wanted.push({ path: ['x-composure', 'edge', 'acme', 'ca_file'], file: caFile });
  const checked = await Promise.all(
    wanted.map(async ({ path, file }) =>
      (await stat(file).catch(() => undefined))?.isFile() ? [] : [{ path, message: `the file ${file} does not exist` }],
    ),
  );
  return checked.flat();
}

function invalidKeys(problems: readonly Problem[], sources: readonly Source[], folder: string): Failure {
  const placed = placeProblems(problems, sources, folder);
  const first = placed[0];
  const more = placed.length > 1 ? ` (and ${placed.length - 1} more)` : '';
  return new Failure('CONFIG_INVALID', `${first?.message ?? 'invalid x- keys'}${more}`, {
    ...(first ? { where: first.where } : {}),
    next: 'correct the compose file; every field is described in docs/reference/compose-keys.md',
    details: (placed.length > 1 ? placed : []).map(({ where, message }) => `${where}: ${message}`),
  });
}

const UNSET = /^The "([^"]+)" variable is not set\. Defaulting to a blank string/;

function readWarnings(
  messages: readonly string[],
  sources: readonly Source[],
  folder: string,
): Pick<Project, 'unsetVariables' | 'warnings'> {
  const unset = new Map<string, string | undefined>();
  const warnings: string[] = [];
  for (const message of messages) {
    const name = UNSET.exec(message)?.[1];
    if (name !== undefined) unset.set(name, firstUse(sources, name, folder));
    else if (!/the attribute `version` is obsolete/.test(message)) warnings.push(message);
  }
  const unsetVariables = [...unset].map(([name, where]) => ({ name, where: where ?? 'an env file' }));
  return {
    unsetVariables,
    warnings: [
      ...unsetVariables.map(({ name, where }) => `${where}: the variable ${name} is not set; Compose puts nothing in its place`),
      ...warnings,
    ],
  };
}

/** x- keys that look like ours and are not: misspelt, or in the wrong place. Foreign ones are nobody's business. */
function keyWarnings(model: Mapping, sources: readonly Source[], folder: string): string[] {
  const warnings: string[] = [];
  const check = (key: string, path: Path, here: readonly string[], elsewhere: Record<string, string>) => {
    if (!key.startsWith('x-') || here.includes(key)) return;
    const place = placeOf(sources, path, folder);
    const warn = (text: string) => warnings.push(place === undefined ? text : `${place}: ${text}`);
    const owner = elsewhere[key];
    if (owner !== undefined) return warn(`${key} has no effect here; it belongs ${owner}`);
    const guess = closest(
      key.slice(2),
      here.map((known) => known.slice(2)),
    );
    if (guess !== undefined) warn(`${key} has no effect; did you mean "x-${guess}"?`);
  };
  const ofService: readonly string[] = KEY_NAMES.service;
  const ofProject: readonly string[] = KEY_NAMES.project;
  const atTop = Object.fromEntries(ofProject.map((key) => [key, 'at the top of the file, beside services']));
  // A service key at the top is often only an anchor for others to merge: no word about it.
  for (const key of Object.keys(model)) if (!ofService.includes(key)) check(key, [key], ofProject, {});
  for (const [name, service] of Object.entries(mapping(model.services))) {
    for (const key of Object.keys(mapping(service))) check(key, ['services', name, key], ofService, atTop);
  }
  return warnings;
}
