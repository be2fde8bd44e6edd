/**
 * `npm run bench -- backup [--mib 1024] [--rows 800000] [--rounds 3] [--parts data,drill,rebuild,faults] [--json FILE]`: what a backup costs beside
 * restic alone and beside tar and zstd, how long a drill and a rebuild take, and whether each fault that is injected is found.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDocker } from '../src/docker/api.ts';
import { withProject } from '../test/support/scenario.ts';
import { changeFolder, fillFolder, fillTable } from './backup/data.ts';
import { measureFaults } from './backup/faults.ts';
import { composure, type Method, ourMethod, plainRestic, type Subject, tarZstd } from './backup/methods.ts';
import { measureRebuild } from './backup/rebuild.ts';
import { installPackage } from './cli/packages.ts';
import { readArguments } from './support/arguments.ts';
import { must } from './support/must.ts';
import { median, round } from './support/numbers.ts';
import { publish, type Row, say } from './support/report.ts';
import { timeMs } from './support/time.ts';

const options = readArguments({ mib: '1024', rows: '800000', rounds: '3', parts: 'data,drill,rebuild,faults' });
const [mib, rows, rounds] = [options.count('mib'), options.count('rows'), options.count('rounds')];
const parts = options.list('parts');
const STEPS = ['first run', '1 % changed', 'restore', 'verify'] as const;
type Step = (typeof STEPS)[number];

interface Measured {
  method: string;
  ms: Record<Step, number[]>;
  firstBytes: number[];
  changedBytes: number[];
}

async function measureRound(
  methods: Method[],
  measured: Measured[],
  { round: number, change, place }: { round: number; change: () => Promise<void>; place: string },
): Promise<void> {
  const each = async (step: Step, work: (method: Method) => Promise<void>): Promise<void> => {
    for (let turn = 0; turn < methods.length; turn++) {
      // Nobody is always first.
      const index = (turn + number) % methods.length;
      const method = methods[index];
      if (!method) continue;
      // What was written before is not written out at this one's cost.
      await must('sync', []);
      measured[index]?.ms[step].push(await timeMs(() => work(method)));
    }
  };
  for (const method of methods) await method.reset();
  const before = await Promise.all(methods.map((method) => method.storedBytes()));
  await each('first run', (method) => method.run());
  const first = await Promise.all(methods.map((method) => method.storedBytes()));
  await change();
  await each('1 % changed', (method) => method.run());
  const changed = await Promise.all(methods.map((method) => method.storedBytes()));
  await each('restore', async (method) => {
    const folder = join(place, 'restored');
    await method.restore(folder);
    await rm(folder, { recursive: true });
  });
  await each('verify', (method) => method.verify());
  for (const [index, one] of measured.entries()) {
    one.firstBytes.push((first[index] ?? 0) - (before[index] ?? 0));
    one.changedBytes.push((changed[index] ?? 0) - (first[index] ?? 0));
  }
}

const total = ({ ms }: Measured, index: number): number => STEPS.reduce((sum, step) => sum + (ms[step][index] ?? 0), 0);
const MIB = 1024 ** 2;
const found: Row[] = [];
const summary: Record<string, number> = {};

const compose = (repository: string): string =>
  JSON.stringify({
    services: {
      db: {
        image: 'postgres:18-alpine',
        environment: { POSTGRES_PASSWORD: 'x', POSTGRES_DB: 'shop' },
        volumes: ['db:/var/lib/postgresql'],
        healthcheck: { test: ['CMD', 'pg_isready', '-h', '127.0.0.1', '-U', 'postgres', '-d', 'shop'], interval: '1s', retries: 60 },
      },
      app: { image: 'busybox:1', command: ['sleep', 'infinity'], volumes: ['files:/data'], stop_grace_period: '0s' },
    },
    volumes: { db: {}, files: {} },
    'x-composure': { backup: { repository } },
  });

async function measureData(bin: string): Promise<void> {
  const place = await mkdtemp(join(tmpdir(), 'composure-bench-backup-'));
  try {
    await withProject('bench backup', { files: { 'compose.yaml': compose(join(place, 'composure')) } }, async (project) => {
      await must('docker', ['compose', 'up', '-d', '--wait'], { cwd: project.folder });
      const [container] = await project.containers('db');
      const volume = await openDocker().findVolume(`${project.name}_files`);
      if (!container || !volume) throw new Error('the project is not up');
      const sql = (text: string) => must('docker', ['exec', container.Id, 'psql', '-U', 'postgres', '-d', 'shop', '-qc', text]);
      const subject: Subject = { project, bin, files: volume.Mountpoint, database: container.Id, place };
      await fillFolder(volume.Mountpoint, mib);
      await sql(fillTable(rows));
      say(`${mib} MiB of files and ${rows} rows`);
      if (parts.includes('data')) {
        const methods = [ourMethod(subject), plainRestic(subject), tarZstd(subject)];
        const measured = methods.map(
          ({ name }): Measured => ({
            method: name,
            ms: { 'first run': [], '1 % changed': [], restore: [], verify: [] },
            firstBytes: [],
            changedBytes: [],
          }),
        );
        const change = async (): Promise<void> => {
          await changeFolder(volume.Mountpoint, mib);
          await sql(fillTable(Math.round(rows / 100)));
        };
        for (let index = 1; index <= rounds; index++) {
          await measureRound(methods, measured, { round: index, change, place });
          say(
            `round ${index} of ${rounds}: ${measured.map((one) => `${one.method} ${STEPS.map((step) => round((one.ms[step].at(-1) ?? 0) / 1000, 1)).join(' ')}`).join('; ')}`,
          );
        }
        addData(measured);
      }
      if (parts.includes('drill')) {
        if (!parts.includes('data')) {
          await ourMethod(subject).reset();
          await composure(subject, ['backup', 'run']);
        }
        const ms = await timeMs(() => composure(subject, ['backup', 'drill']));
        summary.drillSeconds = round(ms / 1000, 1);
        say(`the drill took ${summary.drillSeconds} s`);
      }
    });
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

function addData(measured: Measured[]): void {
  const [ours, plain] = measured;
  if (!ours || !plain) return;
  for (const one of measured) {
    found.push({
      method: one.method,
      ...Object.fromEntries(STEPS.map((step) => [`${step}, s`, round(median(one.ms[step]) / 1000, 1)])),
      'first MiB': round(median(one.firstBytes) / MIB, 1),
      '1 % MiB': round(median(one.changedBytes) / MIB, 1),
    });
  }
  const ratio = (step: Step): number => round(median(ours.ms[step].map((ms, index) => ms / (plain.ms[step][index] ?? Number.NaN))), 2);
  summary.overheadRatio = round(median(Array.from({ length: rounds }, (_, index) => total(ours, index) / total(plain, index))), 2);
  summary.firstRatio = ratio('first run');
  summary.changedRatio = ratio('1 % changed');
  summary.restoreRatio = ratio('restore');
  summary.verifyRatio = ratio('verify');
  summary.changedMiB = round(median(ours.changedBytes) / MIB, 1);
}

const packed = await installPackage();
try {
  if (parts.includes('data') || parts.includes('drill')) await measureData(packed.bin);
  if (parts.includes('rebuild')) {
    const { ms, steps } = await measureRebuild(packed.bin, Math.round(rows / 4));
    summary.rebuildSeconds = round(ms / 1000, 1);
    found.push(...steps.map(({ step, seconds }) => ({ 'rebuild of the example': step, seconds })));
    say(`the rebuild took ${summary.rebuildSeconds} s`);
  }
  if (parts.includes('faults')) {
    const { injected, detected, rows: faults } = await measureFaults(packed.bin);
    Object.assign(summary, { faultsInjected: injected, faultsDetected: detected });
    found.push(...faults);
    if (detected !== injected) process.exitCode = 1;
  }
} finally {
  await rm(packed.folder, { recursive: true, force: true });
}
summary.load = round(loadavg()[0] ?? 0, 1);
publish({ bench: 'backup', summary, rows: found }, options.json);
