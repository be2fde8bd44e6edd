import { startLoad } from '../bench/load/load.ts';
import type { Load } from '../bench/load/model.ts';
import type { DrillEvidence } from '../src/backup/drill/model.ts';
import type { ProgressEvent } from '../src/kit/events.ts';
import { drillText, type Proof, proofOf, type SavedSet, savedText } from './demo/backup.ts';
import { type Figures, figuresOf, isGood, lost, type Outcome, since, summary } from './demo/figures.ts';
import { openScreen } from './demo/screen.ts';
import { COMPOSURE, HOST, type Ran, type RunOptions, type Stage, setStage } from './demo/stage.ts';

/**
 * npm run demo [-- --keep]: the example stack is released, broken, rolled back, killed, saved and restored on this machine while visitors use it.
 * Ends with what they noticed; the exit code is 1 when anything was lost or the backup did not restore. --keep leaves the stack running.
 */
const RELEASES = ['2', '3', '4', '5', '6'];
const BROKEN = '7';
const NEVER_HEALTHY = '8';
const KILLED = '9';
const SLOW_MS = 2_000;
/** Share of the broken release's answers on GET / that are errors. */
const ERROR_RATE = '0.25';

const keep = process.argv.includes('--keep');
const screen = openScreen(
  (text) => process.stdout.write(text),
  Boolean(process.stdout.isTTY),
  () => process.stdout.columns ?? 80,
);
const problems: string[] = [];
/** The version that should answer now, and the one that a rollback goes to. */
let serving = '1';
let before = '1';
const begun = performance.now();

let stage: Stage | undefined;
let load: Load | undefined;
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interrupted) return;
    interrupted = true;
    screen.say('interrupted: cleaning up');
    stage?.interrupt();
  });
}

/** The demo cannot go on, and everything about it has been said. */
class Over extends Error {}

try {
  stage = await setStage();
  process.exitCode = (await play(stage)) ? 0 : 1;
} catch (error) {
  if (!(error instanceof Over)) screen.say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = interrupted ? 130 : 1;
} finally {
  await load?.stop().catch(() => {});
  if (stage && keep && !interrupted) screen.say(kept(stage));
  else if (stage) {
    screen.act('Clean up');
    screen.doing('removing containers, networks, volumes and images of the demo');
    await stage.strike();
    screen.done(true, 'nothing of the demo is left');
  }
}
process.exit();

async function play(demo: Stage): Promise<boolean> {
  screen.say(`Composure's demo: ${demo.name}, its own copy of examples/causal-analytics behind an edge on port ${demo.port}.\n`);
  await buildImages(demo, ['1', ...RELEASES, BROKEN, NEVER_HEALTHY, KILLED]);

  screen.act('First start: api ×2, three tiers of workers, redis, postgres, and a migration before them');
  await must(deploy(demo, '1'), 'the first start');
  screen.done(true, `release 1 answers at http://${HOST}:${demo.port}/`);

  screen.act('Visitors come');
  screen.doing('reads, uploads, new connections, two-second requests, WebSockets, event streams');
  load = await startLoad({ port: demo.port, host: HOST, slowMs: SLOW_MS });
  const ticking = setInterval(() => void readFigures().then(screen.counters, () => {}), 1_000);
  await load.waitForVersion('1', 10_000);
  const loadBegun = performance.now();
  screen.done(true, 'they are here, and stay until the end');

  let releases = 0;
  for (const version of RELEASES) releases += (await release(demo, version)) ? 1 : 0;
  const broken = await breakAndReturn(demo);
  const unhealthy = await neverHealthy(demo);
  const byHand = await rollBackByHand(demo);
  const recovered = await killAndRecover(demo);
  const proof = await saveAndRestore(demo);

  clearInterval(ticking);
  const report = await load.stop();
  const outcome: Outcome = {
    releases,
    rolledBack: Number(broken.good) + Number(unhealthy),
    byHand: Number(byHand),
    recovered: Number(recovered),
    figures: figuresOf(report, SLOW_MS),
    ownErrors: broken.ownErrors,
    backAfterMs: broken.backAfterMs,
    proof,
    elapsedMs: performance.now() - loadBegun,
    problems,
  };
  if (lost(outcome) > 0 || outcome.figures.cut > 0)
    screen.say(`\nthe first failures:\n${report.failures.map((failure) => `  ${JSON.stringify(failure)}`).join('\n')}`);
  screen.say(
    `\n${'─'.repeat(92)}\n${summary(outcome)}\n\n  the demo as a whole took ${((performance.now() - begun) / 1000).toFixed(0)} s; npm run bench -- rollout measures more\n${'─'.repeat(92)}`,
  );
  return isGood(outcome);
}

/** Each version is the same code under another label, so all but the first are built in a moment. */
async function buildImages(demo: Stage, versions: string[]): Promise<void> {
  screen.act(`Build the example's image, versions ${versions[0]} to ${versions.at(-1)}`);
  for (const version of versions) {
    screen.doing(`version ${version}`);
    await must(
      demo.docker(['compose', '-f', 'compose.yaml', '-f', 'compose.demo.yaml', 'build', '--quiet', 'api'], { VERSION: version }),
      `the build of version ${version}`,
    );
  }
  screen.done(true, `${versions.length} versions`);
}

async function release(demo: Stage, version: string): Promise<boolean> {
  screen.act(`Release ${version}: composure deploy`);
  const start = await readFigures();
  const ran = await deploy(demo, version);
  const good = ran.code === 0 && (await serves(demo, version));
  if (good) [before, serving] = [serving, version];
  return endAct(good, `version ${version} serves`, `release ${version}: ${reasonOf(ran)}`, since(await readFigures(), start));
}

/** A release that passes every check before the switch and answers errors after it. */
async function breakAndReturn(demo: Stage): Promise<{ good: boolean; ownErrors: number; backAfterMs: number | undefined }> {
  screen.act(`Release ${BROKEN} is healthy, but answers errors once visitors use it: composure deploy api`);
  const start = await readFigures();
  let switchedAt: number | undefined;
  let backAfterMs: number | undefined;
  const ran = await deploy(demo, BROKEN, ['api'], { APP_ERROR_RATE: ERROR_RATE }, (event) => {
    if (event.kind === 'step-done' && event.step === 'switch') switchedAt = performance.now();
    if (event.kind === 'step-done' && event.step === 'undo:switch' && switchedAt !== undefined)
      backAfterMs = performance.now() - switchedAt;
  });
  const good = ran.code === 5 && (await serves(demo, serving));
  const added = since(await readFigures(), start);
  const others = { ...added, failed: added.failed - added.answered500 };
  endAct(
    good,
    `noticed after ${added.answered500} errors and taken back by itself: version ${serving} serves`,
    `release ${BROKEN}: ${reasonOf(ran)}`,
    others,
  );
  return { good, ownErrors: added.answered500, backAfterMs };
}

/** One worker of the release never gets healthy: the others of the release do not stay either. */
async function neverHealthy(demo: Stage): Promise<boolean> {
  screen.act(`Release ${NEVER_HEALTHY} has a worker that never gets healthy: composure deploy api worker-light`);
  const start = await readFigures();
  const ran = await deploy(demo, NEVER_HEALTHY, ['api', 'worker-light'], { LIGHT_HEALTH: 'fail' });
  const good = ran.code === 5 && (await serves(demo, serving));
  const added = since(await readFigures(), start);
  return endAct(good, 'refused as a whole; no visitor ever saw it', `release ${NEVER_HEALTHY}: ${reasonOf(ran)}`, added);
}

async function rollBackByHand(demo: Stage): Promise<boolean> {
  screen.act('Back by hand: composure rollback');
  const start = await readFigures();
  const ran = await demo.composure(['rollback', '--env', 'demo', '--yes', '--json'], { env: { VERSION: serving }, onEvent: show });
  const good = ran.code === 0 && (await serves(demo, before));
  if (good) serving = before;
  const text = `version ${before} serves again, from its kept containers`;
  return endAct(good, text, `rollback: ${reasonOf(ran)}`, since(await readFigures(), start));
}

/** The deployer is killed right after the switch, while old and new containers run side by side. */
async function killAndRecover(demo: Stage): Promise<boolean> {
  screen.act(`Release ${KILLED}: kill -9 of composure in the middle`);
  const start = await readFigures();
  const killed = await deploy(demo, KILLED, [], {}, (event, kill) => {
    if (event.kind === 'step-start' && event.step === 'watch') kill();
  });
  screen.doing('killed; composure recover');
  const ran = await demo.composure(['recover', '--env', 'demo', '--json'], { env: { VERSION: KILLED }, onEvent: show });
  const good = killed.signal === 'SIGKILL' && ran.code === 0 && (await serves(demo, serving));
  const why = killed.signal === 'SIGKILL' ? `recover: ${reasonOf(ran)}` : `release ${KILLED} was to be killed: ${reasonOf(killed)}`;
  return endAct(good, `composure recover took it back: version ${serving} serves`, why, since(await readFigures(), start));
}

/** A backup of everything, and the proof of it: restored beside the running stack, compared, and the application started on it. */
async function saveAndRestore(demo: Stage): Promise<Proof | undefined> {
  screen.act('Save everything into an encrypted repository: composure backup init, composure backup run');
  let start = await readFigures();
  const backup = (args: string[]): Promise<Ran> =>
    demo.composure(['backup', ...args, '--env', 'demo', '--json'], { env: { VERSION: serving }, onEvent: show });
  screen.doing('create the repository');
  const made = await backup(['init', '--yes']);
  const ran = made.code === 0 ? await backup(['run']) : made;
  const set = ran.code === 0 ? (JSON.parse(ran.out) as SavedSet) : undefined;
  endAct(set !== undefined, set ? savedText(set) : '', `backup: ${reasonOf(ran)}`, since(await readFigures(), start));
  if (set === undefined) return undefined;

  screen.act('Prove that it restores, beside the running stack and without a way out: composure backup drill');
  start = await readFigures();
  const drilled = await backup(['drill']);
  const evidence = drilled.code === 0 ? (JSON.parse(drilled.out) as DrillEvidence) : undefined;
  const proof = evidence && proofOf(set, evidence);
  const text = evidence && proof ? drillText(evidence, proof) : '';
  endAct(evidence?.passed === true, text, `drill: ${reasonOf(drilled)}`, since(await readFigures(), start));
  return evidence?.passed ? proof : undefined;
}

function deploy(
  demo: Stage,
  version: string,
  services: string[] = [],
  env: Record<string, string> = {},
  onEvent?: RunOptions['onEvent'],
): Promise<Ran> {
  return demo.composure(['deploy', ...services, '--env', 'demo', '--no-build', '--pull', 'missing', '--yes', '--json'], {
    env: { VERSION: version, ...env },
    onEvent(event, kill) {
      show(event);
      onEvent?.(event, kill);
    },
  });
}

function show(event: ProgressEvent): void {
  if (event.kind === 'step-start') screen.doing(event.text);
}

async function readFigures(): Promise<Figures> {
  if (interrupted) throw new Over();
  if (!load) throw new Error('the load has not begun');
  return figuresOf(await load.snapshot(), SLOW_MS);
}

/** Five answers in a row are of this version. */
async function serves(demo: Stage, version: string): Promise<boolean> {
  for (let count = 0; count < 5; count += 1) {
    const served = await demo.servedVersion();
    if (served === version) continue;
    problems.push(`version ${version} should serve, but the answer was: ${served}`);
    return false;
  }
  return true;
}

function endAct(good: boolean, text: string, problem: string, added: Figures): boolean {
  if (interrupted) throw new Over();
  if (!good) problems.push(problem);
  const noticed = [
    ...(added.failed > 0 ? [`${added.failed} requests failed`] : []),
    ...(added.cut > 0 ? [`${added.cut} streams were cut`] : []),
  ];
  screen.done(good && noticed.length === 0, [good ? text : problem, ...noticed].join('; '));
  return good;
}

/** Answers when a command succeeded; else the demo cannot go on. */
async function must(running: Promise<Ran>, what: string): Promise<void> {
  const ran = await running;
  if (interrupted) throw new Over();
  if (ran.code === 0) return;
  screen.done(false, `${what}: ${reasonOf(ran)}`);
  screen.say(`${ran.out}${ran.err}`.split('\n').slice(-40).join('\n'));
  throw new Over();
}

/** How a command ended, in one line. */
function reasonOf(ran: Ran): string {
  if (ran.signal) return `ended by ${ran.signal}`;
  try {
    const { error } = JSON.parse(ran.out.trim().split('\n').at(-1) ?? '') as {
      error?: { code: string; message: string };
    };
    if (error) return `exit code ${ran.code}, ${error.code}: ${error.message}`;
  } catch {}
  const last = ran.err.trim().split('\n').slice(-3).join(' / ');
  return ran.code === 0 ? 'exit code 0' : `exit code ${ran.code}: ${last}`;
}

function kept(demo: Stage): string {
  return [
    '',
    'Still running (--keep):',
    `  curl -H 'Host: ${HOST}' http://127.0.0.1:${demo.port}/`,
    `  cd ${demo.folder}`,
    `  export COMPOSURE_STATE_DIR=${demo.state} VERSION=${serving}`,
    `  ${process.execPath} ${COMPOSURE} status --env demo`,
    'To remove it:',
    `  ${process.execPath} ${COMPOSURE} down --env demo --volumes --yes`,
    `  ${process.execPath} ${COMPOSURE} edge stop --yes`,
    `  docker image rm $(docker image ls --format '{{.Repository}}:{{.Tag}}' ${demo.name})`,
    `  cd / && rm -r ${demo.root}`,
  ].join('\n');
}
