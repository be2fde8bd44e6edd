/**
 * `npm run bench -- rollout [--releases N] [--peers N] [--pairs N] [--apps drain,exit] [--methods composure,up,scale,swarm,overhead] [--json FILE]`:
 * releases of examples/causal-analytics under load, by composure and by what people use today, and how far one release is from the least that it has to do.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { installPackage } from './cli/packages.ts';
import { composeUp } from './rollout/compose-up.ts';
import { composure } from './rollout/composure.ts';
import { buildVersions, IMAGE, removeVersions } from './rollout/example.ts';
import { type AppMode, type Method, measure } from './rollout/method.ts';
import { exampleApi, measureOverhead, smallApp } from './rollout/overhead.ts';
import { scaleUpThenRemove } from './rollout/scale.ts';
import { serviceUpdate } from './rollout/swarm.ts';
import { readArguments } from './support/arguments.ts';
import { publish, type Row, say } from './support/report.ts';

const PEERS: Record<string, Method> = { up: composeUp, scale: scaleUpThenRemove, swarm: serviceUpdate };
const LABELS: Record<string, string> = { up: 'composeUp', scale: 'scale', swarm: 'swarm' };

/** The load's slowest request: what a release has to wait for when it drains. */
const SLOWEST_REQUEST_MS = 2000;

const labelled = (rows: Row[], label: string): Row[] => rows.map((row) => ({ ...row, release: `${row.release}, ${label}` }));

const options = readArguments({ releases: '20', peers: '3', pairs: '7', apps: 'drain,exit', methods: 'composure,up,scale,swarm,overhead' });
const methods = options.list('methods');
const apps = options.list('apps') as AppMode[];
const most = Math.max(options.count('releases'), options.count('peers'));
const run = randomBytes(3).toString('hex');
const versions = Array.from({ length: most + 1 }, (_, index) => `bench-${run}-${index}`);
const rows: Row[] = [];
const summary: Record<string, number> = {};

say(`building ${versions.length} versions of the example`);
await buildVersions(versions);
try {
  for (const [index, app] of apps.entries()) {
    if (methods.includes('composure')) {
      // All releases with the example as it is; as many as the peers make for the other ways in which an application may stop.
      const count = index === 0 ? options.count('releases') : options.count('peers');
      const { row, report } = await measure(composure, app, versions.slice(0, count + 1));
      rows.push(row);
      if (index === 0)
        Object.assign(summary, {
          releases: count,
          requests: report.ok + report.failed,
          failed: report.failed,
          streams: report.streams.opened,
          streamsCut: report.streams.cut,
        });
      else Object.assign(summary, { [`failed_${app}`]: report.failed });
    }
    for (const [key, method] of Object.entries(PEERS)) {
      if (!methods.includes(key)) continue;
      const { row, report } = await measure(method, app, versions.slice(0, options.count('peers') + 1));
      rows.push(row);
      Object.assign(summary, { [`${LABELS[key]}Failed_${app}`]: report.failed });
    }
  }
  if (methods.includes('overhead')) {
    const packed = await installPackage();
    try {
      const api = exampleApi(`${IMAGE}:${versions[0]}`);
      const pairs = options.count('pairs');
      const drained = await measureOverhead(packed.bin, api, pairs, SLOWEST_REQUEST_MS);
      const idle = await measureOverhead(packed.bin, api, pairs, 0);
      const small = await measureOverhead(packed.bin, await smallApp(), pairs, 0);
      rows.push(...drained.rows, ...labelled(idle.rows, 'idle'), ...labelled(small.rows, 'idle, small app'));
      Object.assign(summary, {
        overheadRatio: drained.ratio,
        composureMs: drained.composureMs,
        floorMs: drained.floorMs,
        overheadRatioIdle: idle.ratio,
        composureMsIdle: idle.composureMs,
        floorMsIdle: idle.floorMs,
        overheadRatioSmallApp: small.ratio,
        composureMsSmallApp: small.composureMs,
        floorMsSmallApp: small.floorMs,
      });
    } finally {
      await rm(packed.folder, { recursive: true });
    }
  }
} finally {
  await removeVersions(versions);
}
publish({ bench: 'rollout', summary, rows }, options.json);
