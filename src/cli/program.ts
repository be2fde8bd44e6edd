import { Command, InvalidArgumentError } from 'commander';
import { parseDurationMs } from '../kit/duration.ts';
import { packageVersion } from '../kit/package.ts';
import type { Project } from '../project/model.ts';
import type { Outcome, ProjectFlags } from './flags.ts';
import type { Io } from './io.ts';
import { addBackupCommands } from './program-backup.ts';

const collect = (value: string, all: string[] = []): string[] => [...all, value];

function duration(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new InvalidArgumentError('a duration looks like 30s, 5m or 1h30m.');
  return ms;
}

function releaseNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('a release is a number; composure releases lists them.');
  return Number(text);
}

function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65_535) throw new InvalidArgumentError('a port is a number from 1 to 65535.');
  return value;
}

function replicaCount(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('a count is a whole number, at least 0.');
  return Number(text);
}

function hourCount(text: string): number {
  const hours = Number(text);
  if (!(hours > 0 && hours <= 24)) throw new InvalidArgumentError('the last 24 hours are kept: a number up to 24.');
  return hours;
}

const list = (text: string): string[] => text.split(',').filter(Boolean);

function atLeast0(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0) || value === Number.POSITIVE_INFINITY)
    throw new InvalidArgumentError('it takes a number, at least 0.');
  return value;
}

function above0(text: string): number {
  const value = atLeast0(text);
  if (value === 0) throw new InvalidArgumentError('it takes a number above 0.');
  return value;
}

/** A command that works on the project of the current folder. */
function onProject(command: Command): Command {
  return command
    .option('-f, --file <path>', 'compose file; may be given several times', collect)
    .option('-p, --project-name <name>', 'project name')
    .option('--project-directory <path>', 'folder that relative paths start from')
    .option('--env <name>', 'environment: adds compose.<name>.yaml and .env.<name>')
    .option('--profile <name>', 'profile to enable; may be given several times', collect)
    .option('--json', 'print JSON');
}

const example = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  $ composure ${line}`).join('\n')}\n`;

/** Compose is asked for the project while the modules of the command are loaded: both take about as long. */
function startLoading(io: Io, flags: ProjectFlags): Promise<Project> {
  const project = import('./load.ts').then(({ projectOf }) => projectOf(io, flags));
  project.catch(() => {});
  return project;
}

/** For reading the command line's own description: nothing is shown and nobody is asked. */
const NOBODY: Io = { cwd: '/', env: {}, stdout: () => {}, stderr: () => {}, isTTY: false };

/** The whole command line. Each command's code is loaded only when it is called, so that --version and status start at once. */
export function buildProgram(io: Io = NOBODY, outcome: Outcome = { code: 0 }, writeErr: (text: string) => void = io.stderr): Command {
  const program = new Command('composure')
    .description('Runs your Docker Compose project in production: releases that drop no request, rollback, routes and certificates.')
    .version(packageVersion(), '-v, --version', 'print the version')
    .exitOverride()
    .configureOutput({ writeOut: io.stdout, writeErr })
    .showHelpAfterError('(--help says more)')
    .addHelpText('after', example('deploy', 'status', 'rollback'));
  // Commander copies these to subcommands when they are added, so they are set first.
  program.enablePositionalOptions();

  const confirmable = (command: Command): Command =>
    command.option('-y, --yes', 'do not ask').option('--dry-run', 'print the plan and touch nothing');
  const waiting = (command: Command): Command =>
    command.option('--wait <duration>', 'wait this long for another command on the project instead of refusing', duration, 0);

  const deploy = waiting(confirmable(onProject(program.command('deploy'))))
    .description('release the project, or only the given services, without dropping a request')
    .argument('[service...]', 'services to release; default all');
  deploy
    .option('--pull <policy>', 'always, missing or never, as docker compose up has it', choice('always', 'missing', 'never'), 'missing')
    .option('--no-build', 'do not build services that have a build section')
    .option('--force-recreate', 'replace containers also when nothing changed')
    .option('--ignore-unhealthy', 'release although an unchanged service is unhealthy')
    .addHelpText('after', example('deploy', 'deploy api worker --yes', 'deploy --env prod --dry-run', 'deploy --wait 10m --json'))
    .action(async (services: string[], flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/deploy.ts')).deployCommand(io, services, flags, project);
    });

  onProject(program.command('plan'))
    .description('print what deploy would do, and why; the same as deploy --dry-run')
    .argument('[service...]', 'services to release; default all')
    .option('--force-recreate', 'plan as if everything had changed')
    .option('--ignore-unhealthy', 'plan although an unchanged service is unhealthy')
    .addHelpText('after', example('plan', 'plan api --json'))
    .action(async (services: string[], flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/deploy.ts')).deployCommand(
        io,
        services,
        {
          ...flags,
          dryRun: true,
          yes: true,
          pull: 'never',
          build: false,
          wait: 0,
        },
        project,
      );
    });

  waiting(confirmable(onProject(program.command('rollback'))))
    .description('go back to an earlier release; without a number to the one before')
    .argument('[release]', 'number of the release', releaseNumber)
    .option('--ignore-unhealthy', 'go back although an unchanged service is unhealthy')
    .addHelpText('after', example('rollback', 'rollback 12 --yes', 'rollback --dry-run'))
    .action(async (release: number | undefined, flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/rollback.ts')).rollbackCommand(io, release, flags, project);
    });

  waiting(onProject(program.command('recover')))
    .description('end what a killed command left half done: finish a committed release, take any other back')
    .option('--dry-run', 'say what would be done and touch nothing')
    .addHelpText('after', example('recover'))
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/recover.ts')).recoverCommand(io, flags, project);
    });

  onProject(program.command('status'))
    .description('services, replicas, health, release and edge')
    .addHelpText('after', example('status', 'status --json'))
    .action(async (flags) => (await import('./commands/status.ts')).statusCommand(io, flags));

  onProject(program.command('releases'))
    .description('the releases on record, newest first')
    .addHelpText('after', example('releases', 'releases --json'))
    .action(async (flags) => (await import('./commands/releases.ts')).releasesCommand(io, flags));

  onProject(program.command('logs'))
    .description('logs of the services, as docker compose logs prints them')
    .argument('[service...]', 'services; default all')
    .option('--follow', 'go on printing')
    .option('-n, --tail <lines>', 'lines from the end of each container')
    .option('--since <time>', 'only lines after this time or duration')
    .addHelpText('after', example('logs api --tail 100', 'logs --follow worker'))
    .action(async (services: string[], flags) => (await import('./commands/logs.ts')).logsCommand(io, services, flags, outcome));

  waiting(confirmable(onProject(program.command('down'))))
    .description('take the project down and its routes out of the edge; volumes stay unless --volumes says otherwise')
    .option('--volumes', 'also remove the named volumes and what is in them')
    .addHelpText('after', example('down', 'down --volumes --yes'))
    .action(async (flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/down.ts')).downCommand(io, flags, project);
    });

  const autoscale = program.command('autoscale').description('services that follow their queues, see x-autoscale');
  autoscale
    .command('status')
    .description('the scaled services of this host: workers, what is wanted, what the triggers say, the room that there is')
    .option('-p, --project-name <name>', 'only services of this project')
    .option('--json', 'print JSON')
    .addHelpText('after', example('autoscale status', 'autoscale status -p shop --json'))
    .action(async (flags) => (await import('./commands/autoscale/status.ts')).autoscaleStatusCommand(io, flags));
  onProject(autoscale.command('explain'))
    .description('why a service has as many workers as it has: inputs, formula, limits, the last decisions')
    .argument('<service>', 'a scaled service')
    .addHelpText('after', example('autoscale explain worker-heavy', 'autoscale explain worker-light --json'))
    .action(async (service: string, flags) =>
      (await import('./commands/autoscale/explain.ts')).autoscaleExplainCommand(io, service, flags),
    );
  onProject(autoscale.command('pause'))
    .description('keep the count of services as it is, or at a number, until resume')
    .argument('[service...]', 'services; default all that are scaled')
    .option('--replicas <count>', 'hold this count', replicaCount)
    .option('--scale-in', 'only do not go down')
    .option('--scale-out', 'only do not go up')
    .option('--dry-run', 'say what would be asked of the autoscaler and write nothing down')
    .addHelpText(
      'after',
      example('autoscale pause worker-heavy', 'autoscale pause worker-heavy --replicas 1', 'autoscale pause --scale-in'),
    )
    .action(async (services: string[], flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/autoscale/pause.ts')).autoscalePauseCommand(io, services, flags, project);
    });
  onProject(autoscale.command('resume'))
    .description('scale services again that are paused')
    .argument('[service...]', 'services; default all that are scaled')
    .option('--dry-run', 'say what would be asked of the autoscaler and write nothing down')
    .addHelpText('after', example('autoscale resume', 'autoscale resume worker-heavy'))
    .action(async (services: string[], flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/autoscale/pause.ts')).autoscaleResumeCommand(io, services, flags, project);
    });
  autoscale
    .command('replay')
    .description('decide again about what the agent recorded, and say where this version decides otherwise')
    .option('--hours <count>', 'how far to go back', hourCount, 24)
    .option('--json', 'print JSON')
    .addHelpText('after', example('autoscale replay', 'autoscale replay --hours 1'))
    .action(async (flags) => (await import('./commands/autoscale/replay.ts')).autoscaleReplayCommand(io, flags));
  onProject(autoscale.command('export'))
    .description('write the scaled services as ScaledObjects of KEDA, every default explicit')
    .argument('[service...]', 'services to write; default all that are scaled')
    .addHelpText('after', example('autoscale export', 'autoscale export worker-heavy', 'autoscale export --env prod --json'))
    .action(async (services: string[], flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/autoscale/export.ts')).autoscaleExportCommand(io, services, flags, project);
    });

  onProject(program.command('scale'))
    .description('give scaled services a least count until it is released; the autoscaler decides above it')
    .argument('<service=count...>', 'services with their least count, or auto to release it')
    .option('--dry-run', 'say what would be asked of the autoscaler and write nothing down')
    .addHelpText('after', example('scale worker-heavy=2', 'scale worker-heavy=auto', 'scale light=1 heavy=2 --dry-run'))
    .action(async (words: string[], flags) => {
      const project = startLoading(io, flags);
      await (await import('./commands/scale.ts')).scaleCommand(io, words, flags, project);
    });

  onProject(program.command('simulate'))
    .description('play a workload against the scaled services in virtual time and compare policies; touches nothing')
    .option(
      '--policy <names>',
      'of ours, fixed:N, fixed:max, threshold, keda, keda-tuned, keda-patient; default ours and the usual others',
      list,
    )
    .option('--scenario <file>', 'host and tiers from this YAML or JSON file, or the built-in "reference"; default the project’s')
    .option('--trace <file>', 'jobs from a file: at,tier,seconds, a SWIM or an Azure LLM trace')
    .option('--rule <changes>', 'how rows of a trace become jobs: base=2,bytesPerSecond=100e6,medium=10,heavy=60,cap=1800')
    .option('--workload <model>', 'jobs from a model: poisson, bursts, cron, minutely, pareto, poison', 'poisson')
    .option('--seed <number>', 'of everything that is random', atLeast0, 1)
    .option('--hours <number>', 'how long the model runs (default 24), or how much of the trace is played', above0)
    .option('--load <share>', 'mean load of a model, as a share of what all workers could do', above0, 0.2)
    .option('--host-cpus <number>', 'cores of the host; default this one’s', above0)
    .option('--host-memory <size>', 'memory of the host, such as 64g; default this one’s')
    .option('--price-cpu-hour <money>', 'of one CPU for an hour', atLeast0, 0.04048)
    .option('--price-gb-hour <money>', 'of one GB for an hour', atLeast0, 0.004445)
    .option('--plot <file>', 'write a picture over time: .svg, or a page')
    .addHelpText(
      'after',
      example(
        'simulate --workload cron',
        'simulate --trace jobs.csv --plot jobs.html',
        'simulate --scenario reference --workload bursts --hours 72 --policy ours,keda-tuned --json',
      ),
    )
    .action(async (flags) => (await import('./commands/simulate.ts')).simulateCommand(io, flags, () => startLoading(io, flags)));

  const edge = program.command('edge').description('the HAProxy in front of all projects of this host');
  const edgeCommand = (name: string, text: string): Command => edge.command(name).description(text).option('--json', 'print JSON');
  edgeCommand('status', 'whether it runs, its routes, servers and certificates')
    .addHelpText('after', example('edge status'))
    .action(async (flags) => (await import('./commands/edge.ts')).edgeStatusCommand(io, flags));
  edgeCommand('start', 'start the edge; deploy does it by itself')
    .option('--http-port <port>', 'port for HTTP', port)
    .option('--https-port <port>', 'port for HTTPS', port)
    .option('--image <image>', 'image of HAProxy 3.2 to run instead of haproxy:3.2-alpine')
    .option('--dry-run', 'say what would be done and touch nothing')
    .addHelpText('after', example('edge start', 'edge start --http-port 8080 --https-port 8443', 'edge start --dry-run'))
    .action(async (flags) => (await import('./commands/edge.ts')).edgeStartCommand(io, flags));
  edgeCommand('upgrade', 'put a new container in the place of the running one without losing a request')
    .option('--image <image>', 'image of the new one; default the present one, pulled anew')
    .option('--dry-run', 'say what would be done and touch nothing')
    .addHelpText('after', example('edge upgrade', 'edge upgrade --image haproxy:3.2.7-alpine'))
    .action(async (flags) => (await import('./commands/edge.ts')).edgeUpgradeCommand(io, flags));
  edgeCommand('stop', 'stop the edge; every route is down until it is started again')
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'say what would be done and touch nothing')
    .addHelpText('after', example('edge stop --yes'))
    .action(async (flags) => (await import('./commands/edge.ts')).edgeStopCommand(io, flags));
  edgeCommand('certificates', 'the certificates of all hosts; issues and renews what is due')
    .option('--dry-run', 'only say what is due')
    .addHelpText('after', example('edge certificates', 'edge certificates --dry-run'))
    .action(async (flags) => (await import('./commands/edge.ts')).edgeCertificatesCommand(io, flags));

  const secrets = program.command('secrets').description('values that the project needs and Git may hold only encrypted (age)');
  const inFolder = (command: Command): Command =>
    command
      .option('-f, --file <path>', 'compose file; may be given several times', collect)
      .option('--project-directory <path>', 'folder that relative paths start from')
      .option('--env <name>', 'environment: its own secrets.<name>.age.yaml')
      .option('--json', 'print JSON');
  const changesSecrets = (command: Command): Command => inFolder(command).option('--dry-run', 'say what would be done and touch nothing');
  const load = () => import('./commands/secrets.ts');
  changesSecrets(secrets.command('set'))
    .description('set one secret: typed without being shown, or from standard input, never from the command line')
    .argument('<name>', 'name of the variable that it becomes')
    .option('--from-file <path>', 'take the value from a file, as it is')
    .addHelpText(
      'after',
      example('secrets set DATABASE_PASSWORD', 'secrets set TLS_KEY --from-file key.pem', 'secrets set API_TOKEN --env prod'),
    )
    .action(async (name: string, flags) => (await load()).secretsSetCommand(io, name, flags));
  inFolder(secrets.command('get'))
    .description('print the value of one secret, for another program to read')
    .argument('<name>', 'name of the secret')
    .option('--show', 'print it on a terminal too')
    .addHelpText('after', example('secrets get DATABASE_PASSWORD --show'))
    .action(async (name: string, flags) => (await load()).secretsGetCommand(io, name, flags));
  inFolder(secrets.command('list'))
    .description('names of the secrets and who can read them; needs no identity')
    .addHelpText('after', example('secrets list', 'secrets list --env prod --json'))
    .action(async (flags) => (await load()).secretsListCommand(io, flags));
  changesSecrets(secrets.command('rm'))
    .description('remove secrets from the file')
    .argument('<name...>', 'names of secrets')
    .addHelpText('after', example('secrets rm OLD_TOKEN'))
    .action(async (names: string[], flags) => (await load()).secretsRemoveCommand(io, names, flags));
  changesSecrets(secrets.command('import'))
    .description('set every value of an env file; the plain file stays where it is')
    .argument('<env-file>', 'file of lines NAME=value')
    .addHelpText('after', example('secrets import .env.secret', 'secrets import .env.secret --dry-run'))
    .action(async (file: string, flags) => (await load()).secretsImportCommand(io, file, flags));
  changesSecrets(secrets.command('exec'))
    .description('run a program with the project’s secrets in its environment, such as docker compose itself')
    .argument('<command...>', 'program and its arguments')
    .passThroughOptions()
    .addHelpText('after', example('secrets exec -- docker compose up -d', 'secrets exec --dry-run -- docker compose config'))
    .action(async (command: string[], flags) => (await load()).secretsExecCommand(io, command, flags, outcome));
  secrets
    .command('identity')
    .description('this machine’s recipient, for somebody who can read the file to add; makes the identity where there is none')
    .option('--json', 'print JSON')
    .option('--dry-run', 'say what would be done and touch nothing')
    .addHelpText('after', example('secrets identity'))
    .action(async (flags) => (await load()).secretsIdentityCommand(io, flags));
  const recipients = secrets.command('recipients').description('who can read the secrets');
  inFolder(recipients.command('list'))
    .description('the recipients of the file, with their labels')
    .addHelpText('after', example('secrets recipients list'))
    .action(async (flags) => (await load()).recipientsListCommand(io, flags));
  changesSecrets(recipients.command('add'))
    .description('let another machine or person read all secrets: encrypts every value anew')
    .argument('<recipient>', 'age1…, as composure secrets identity or age-keygen prints it')
    .option('--label <text>', 'who or what that is')
    .addHelpText(
      'after',
      example(
        'secrets recipients add age1jp5a4spux2knflvap9wurcvry22c3rg2dv7m4dvmnjn8dlu6e97qeaudpr --label laptop',
        'secrets recipients add age1jp5a4spux2knflvap9wurcvry22c3rg2dv7m4dvmnjn8dlu6e97qeaudpr --dry-run',
      ),
    )
    .action(async (recipient: string, flags) => (await load()).recipientsAddCommand(io, recipient, flags));
  changesSecrets(recipients.command('rm'))
    .description('encrypt every value anew without one recipient')
    .argument('<recipient>', 'age1…, or its label')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', example('secrets recipients rm laptop'))
    .action(async (named: string, flags) => (await load()).recipientsRemoveCommand(io, named, flags));
  changesSecrets(recipients.command('sync'))
    .description('encrypt every value anew for the recipients that the file lists, after a merge or an edit by hand')
    .addHelpText('after', example('secrets recipients sync'))
    .action(async (flags) => (await load()).recipientsSyncCommand(io, flags));

  addBackupCommands(program, io, outcome, { onProject, confirmable, waiting, example, startLoading });

  const agent = program
    .command('agent')
    .description('the one long-running process of this host: it scales services, follows containers and keeps certificates valid');
  const agentCommand = (name: string, text: string, isDefault = false): Command =>
    agent.command(name, { isDefault }).description(text).option('--json', 'print JSON');
  agentCommand('run', 'be the agent, in this terminal, until it is stopped; the same as agent alone', true)
    .option('--dry-run', 'decide about scaled services and say what would be done, beside a running agent too; touch nothing')
    .addHelpText('after', example('agent run', 'agent', 'agent run --dry-run'))
    .action(async (flags) => (await import('./commands/agent.ts')).agentCommand(io, flags));
  agentCommand('install', 'run the agent from now on and after every boot: under systemd, or as a container')
    .option('--container', 'as a container instead of a systemd unit')
    .option('--image <image>', 'image of the container; default one that is built from this package')
    .option('--dry-run', 'print the unit or container and the steps, and touch nothing')
    .addHelpText('after', example('agent install', 'agent install --dry-run', 'agent install --container'))
    .action(async (flags) => (await import('./commands/agent/install.ts')).agentInstallCommand(io, flags));
  confirmable(agentCommand('uninstall', 'remove exactly what agent install made; what the agent froze is thawed'))
    .addHelpText('after', example('agent uninstall', 'agent uninstall --yes'))
    .action(async (flags) => (await import('./commands/agent/install.ts')).agentUninstallCommand(io, flags));
  agentCommand('status', 'how the agent runs, since when, what it follows, its last warnings')
    .addHelpText('after', example('agent status', 'agent status --json'))
    .action(async (flags) => (await import('./commands/agent/status.ts')).agentStatusCommand(io, flags));
  agentCommand('logs', 'what the agent has said, from the journal or from Docker')
    .option('--follow', 'go on printing')
    .option('-n, --tail <lines>', 'lines from the end; default 200')
    .option('--since <time>', 'only lines after this time or duration, as journalctl or docker logs have it')
    .addHelpText('after', example('agent logs', 'agent logs --follow', 'agent logs -n 20'))
    .action(async (flags) => (await import('./commands/agent/logs.ts')).agentLogsCommand(io, flags, outcome));
  agentCommand('thaw', 'thaw what an agent that died left frozen; systemd does it by itself')
    .option('--dry-run', 'say what would be thawed and touch nothing')
    .addHelpText('after', example('agent thaw', 'agent thaw --dry-run'))
    .action(async (flags) => (await import('./commands/agent/thaw.ts')).agentThawCommand(io, flags));

  program.helpCommand(false);
  program
    .command('help')
    .description('explain a command, or the errors and their exit codes')
    .argument('[topic...]', 'a command, or: errors [CODE]')
    .option('--json', 'print JSON')
    .addHelpText('after', example('help deploy', 'help errors', 'help errors PORT_IN_USE'))
    .action(async (topic: string[], flags) => (await import('./commands/help.ts')).helpCommand(io, program, topic, flags));

  for (const command of allCommands(program))
    command.exitOverride().configureOutput({ writeOut: io.stdout, writeErr }).showHelpAfterError('(--help says more)');
  return program;
}

export const allCommands = (command: Command): Command[] =>
  command.commands.flatMap((inner) => [inner as Command, ...allCommands(inner as Command)]);

function choice(...allowed: string[]): (value: string) => string {
  return (value) => {
    if (!allowed.includes(value)) throw new InvalidArgumentError(`choose one of ${allowed.join(', ')}.`);
    return value;
  };
}
