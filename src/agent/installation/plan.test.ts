import { describe, expect, test } from 'vitest';
import type { LockHolder } from '../../state/lock.ts';
import { agentContainerSpec, specHash } from './container.ts';
import type { Found, Wanted } from './model.ts';
import { planInstall, planUninstall, printInstallPlan } from './plan.ts';
import { unitText } from './unit.ts';

const UNIT = '/etc/systemd/system/composure-agent.service';
const systemd: Wanted = {
  form: 'systemd',
  name: 'composure-agent',
  state: '/var/lib/composure',
  owner: { uid: 0, gid: 0 },
  socket: { path: '/var/run/docker.sock', gid: 998 },
  node: '/usr/bin/node',
  script: '/usr/lib/node_modules/composure/bin/composure.js',
  version: '1.0.0',
  image: '',
  builds: false,
};
const container: Wanted = { ...systemd, form: 'container', image: 'composure-agent:1.0.0-abc', builds: true };
const bare: Found = { root: true, systemd: true, hasImage: false };
const unit = (changes: Partial<NonNullable<Found['unit']>> = {}) => ({
  path: UNIT,
  text: unitText(systemd),
  ours: true,
  enabled: true,
  active: true,
  ...changes,
});
const made = (changes: Partial<NonNullable<Found['container']>> = {}) => ({
  id: 'c0ffee'.repeat(10),
  state: 'running' as const,
  image: container.image,
  spec: specHash(agentContainerSpec(container)),
  built: true,
  ...changes,
});
const holder: LockHolder = { pid: 7, startTicks: '1', bootId: 'b', user: 'ann', purpose: 'agent', since: '2026-01-01T00:00:00Z' };

const steps = (wanted: Wanted, found: Partial<Found>): string[] =>
  printInstallPlan(planInstall(wanted, { ...bare, ...found }, UNIT))
    .split('\n')
    .filter((line) => /^ {2}\d |Nothing/.test(line));

describe('installing', () => {
  test.each<[string, Wanted, Partial<Found>, string[]]>([
    [
      'under systemd, for the first time',
      systemd,
      {},
      [
        `  1  write ${UNIT}  (as a whole or not at all)`,
        '  2  systemctl daemon-reload  (systemd reads it)',
        '  3  systemctl enable --now composure-agent.service  (now and after every boot)',
        '  4  wait until the agent runs  (it holds the host and says that it runs)',
      ],
    ],
    ['again', systemd, { unit: unit() }, ['Nothing to do: it runs as it would be installed.']],
    [
      'it does not run',
      systemd,
      { unit: unit({ active: false }) },
      [
        '  1  systemctl enable --now composure-agent.service  (now and after every boot)',
        '  2  wait until the agent runs  (it holds the host and says that it runs)',
      ],
    ],
    [
      'over another one of ours',
      systemd,
      { unit: unit({ text: `${unitText(systemd)}#` }) },
      [
        `  1  write ${UNIT}  (it says something else by now)`,
        '  2  systemctl daemon-reload  (systemd reads it)',
        '  3  systemctl enable --now composure-agent.service  (now and after every boot)',
        '  4  systemctl restart composure-agent.service  (the running one is of the old unit)',
        '  5  wait until the agent runs  (it holds the host and says that it runs)',
      ],
    ],
    [
      'a newer package in the same place',
      systemd,
      { unit: unit(), agent: holder, agentForm: 'systemd', agentVersion: '0.9.0' },
      [
        '  1  systemctl enable --now composure-agent.service  (now and after every boot)',
        '  2  systemctl restart composure-agent.service  (version 0.9.0 runs, this is 1.0.0)',
        '  3  wait until the agent runs  (it holds the host and says that it runs)',
      ],
    ],
    [
      'as a container, for the first time',
      container,
      {},
      [
        '  1  build composure-agent:1.0.0-abc  (this package on node:24-alpine, by images/agent/Dockerfile)',
        '  2  create and start composure-agent  (host network, state folder and engine socket mounted, all else read-only)',
        '  3  wait until the agent runs  (it holds the host and says that it runs)',
      ],
    ],
    ['again', container, { container: made(), hasImage: true }, ['Nothing to do: it runs as it would be installed.']],
    [
      'a newer package',
      container,
      { container: made({ spec: 'other', image: 'composure-agent:0.9.0-abc' }) },
      [
        '  1  build composure-agent:1.0.0-abc  (this package on node:24-alpine, by images/agent/Dockerfile)',
        '  2  stop and remove container c0ffeec0ffee  (made from something else than now)',
        '  3  create and start composure-agent  (host network, state folder and engine socket mounted, all else read-only)',
        '  4  wait until the agent runs  (it holds the host and says that it runs)',
        '  5  remove the image composure-agent:0.9.0-abc  (built for the one before)',
      ],
    ],
  ])('%s', (_title, wanted, found, expected) => {
    expect(steps(wanted, found)).toEqual(expected);
  });

  test.each<[string, Wanted, Partial<Found>, string, RegExp]>([
    ['no systemd', systemd, { systemd: false }, 'SYSTEMD_MISSING', /--container/],
    ['not root', systemd, { root: false }, 'ROOT_NEEDED', /^sudo composure agent install/],
    ['a container is there', systemd, { container: made() }, 'AGENT_INSTALLED', /uninstall first/],
    ['a unit is there', container, { unit: unit() }, 'AGENT_INSTALLED', /uninstall first/],
    ["a stranger's unit", systemd, { unit: unit({ ours: false }) }, 'AGENT_INSTALLED', /move it away/],
    ['one runs by hand', container, { agent: holder, agentForm: 'foreground' }, 'LOCKED', /kill 7/],
  ])('is refused: %s', (_title, wanted, found, code, next) => {
    expect(() => steps(wanted, found)).toThrow(expect.objectContaining({ code, next: expect.stringMatching(next) }));
  });

  test('the container may write two places, and needs no capability', () => {
    expect(agentContainerSpec({ ...container, owner: { uid: 1000, gid: 100 } })).toMatchObject({
      User: '1000:100',
      HostConfig: {
        Binds: ['/var/lib/composure:/var/lib/composure', '/var/run/docker.sock:/var/run/docker.sock'],
        GroupAdd: ['998'],
        CapDrop: ['ALL'],
        ReadonlyRootfs: true,
      },
    });
  });

  test('a package in the cache of npx is warned about', () => {
    const script = '/root/.npm/_npx/1/node_modules/composure/bin/composure.js';
    expect(planInstall({ ...systemd, script }, bare, UNIT).warnings).toEqual([expect.stringContaining('npm install --global composure')]);
  });

  test('a form that can make no backups says so', () => {
    const warnings = (wanted: Wanted) => planInstall(wanted, bare, UNIT).warnings;
    expect(warnings(systemd)).toEqual([]);
    expect(warnings({ ...systemd, owner: { uid: 1000, gid: 100 } })).toEqual([expect.stringContaining('user 1000')]);
    expect(warnings(container)).toEqual([expect.stringContaining('sees no volume')]);
  });
});

describe('removing', () => {
  const removal = (found: Partial<Found>): string[] =>
    printInstallPlan(planUninstall('composure-agent', { ...bare, ...found }))
      .split('\n')
      .filter((line) => /^ {2}\d /.test(line));

  test.each<[string, Partial<Found>, string[]]>([
    [
      'a unit',
      { unit: unit() },
      [
        '  1  systemctl disable --now composure-agent.service  (it ends what it has begun, and thaws what it froze)',
        `  2  remove ${UNIT}  (written by install)`,
        '  3  systemctl daemon-reload  (systemd forgets it)',
      ],
    ],
    [
      'a container and the image that was built for it',
      { container: made() },
      [
        '  1  stop and remove container c0ffeec0ffee  (it ends what it has begun, and thaws what it froze)',
        '  2  remove the image composure-agent:1.0.0-abc  (built by install)',
      ],
    ],
    [
      'a container of an image that somebody gave',
      { container: made({ built: false, image: 'registry.example.com/agent:1' }) },
      ['  1  stop and remove container c0ffeec0ffee  (it ends what it has begun, and thaws what it froze)'],
    ],
  ])('%s', (_title, found, expected) => {
    expect(removal(found)).toEqual(expected);
  });

  test.each<[string, Partial<Found>, string]>([
    ['nothing', {}, 'AGENT_MISSING'],
    ["a stranger's unit", { unit: unit({ ours: false }) }, 'AGENT_MISSING'],
    ['a unit, and not root', { unit: unit(), root: false }, 'ROOT_NEEDED'],
  ])('is refused: %s', (_title, found, code) => {
    expect(() => removal(found)).toThrow(expect.objectContaining({ code }));
  });
});
