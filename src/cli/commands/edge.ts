import { engineSocket, openDocker } from '../../docker/api.ts';
import { pullIfMissing } from '../../docker/images.ts';
import { obtainCertificates } from '../../edge/certificates/obtain.ts';
import { certificateStatus } from '../../edge/certificates/status.ts';
import { listEdgeContainers } from '../../edge/container.ts';
import { openEdge } from '../../edge/edge.ts';
import type { EdgeState } from '../../edge/model.ts';
import { allBackends } from '../../edge/state.ts';
import { Failure } from '../../kit/errors.ts';
import { describeBackend } from '../../rollout/routes.ts';
import { stateFolder } from '../../state/folder.ts';
import { ask, reporter } from '../context.ts';
import type { Io } from '../io.ts';
import { table } from '../render/table.ts';

interface EdgeFlags {
  json?: boolean;
  yes?: boolean;
  dryRun?: boolean;
  image?: string;
  httpPort?: number;
  httpsPort?: number;
}

function open(io: Io, flags: EdgeFlags) {
  const docker = openDocker(engineSocket(io.env));
  const folder = stateFolder(io.env);
  const report = reporter(io, flags);
  return { docker, folder, report, edge: openEdge({ stateFolder: folder, docker, report }) };
}

const say = (io: Io, flags: EdgeFlags, data: object, text: string): void =>
  io.stdout(flags.json ? `${JSON.stringify(data)}\n` : `${text}\n`);

export async function edgeStatusCommand(io: Io, flags: EdgeFlags): Promise<void> {
  const { docker, folder, edge } = open(io, flags);
  const [state, containers, stats] = await Promise.all([edge.read(), listEdgeContainers(docker, folder), edge.stats().catch(() => [])]);
  const certificates = await certificateStatus(folder, state, Date.now());
  const { httpPort, httpsPort, image } = state.settings;
  if (flags.json) {
    io.stdout(
      `${JSON.stringify({ name: edge.name, running: containers.some((container) => container.state === 'running'), httpPort, httpsPort, image, containers, backends: allBackends(state), servers: stats, certificates })}\n`,
    );
    return;
  }
  const present = containers.find((container) => container.state === 'running');
  io.stdout(present ? `${present.name} runs ${present.image}, ports ${httpPort} and ${httpsPort}\n` : `${edge.name} does not run\n`);
  for (const older of containers.filter((container) => container !== present && container.state === 'running'))
    io.stdout(`${older.name} finishes the streams that it still has\n`);
  const rows = allBackends(state).flatMap(({ project, backend }) => {
    const servers = stats.filter((row) => row.backend === backend.name);
    return [
      [
        project,
        describeBackend(backend),
        servers.map(({ server, status, sessions }) => `${server} ${status} ${sessions} open`).join('; ') || 'no server',
        backend.hold ? 'held' : '',
      ],
    ];
  });
  if (rows.length > 0) io.stdout(table(['PROJECT', 'ROUTE', 'SERVERS', ''], rows));
  if (certificates.length > 0) io.stdout(`\n${certificateTable(certificates)}`);
}

function certificateTable(certificates: Awaited<ReturnType<typeof certificateStatus>>): string {
  return table(
    ['HOST', 'STATE', 'VALID UNTIL'],
    certificates.map((entry) => [
      entry.host,
      entry.state,
      entry.notAfter ? new Date(entry.notAfter).toISOString().slice(0, 16).replace('T', ' ') : '',
    ]),
  );
}

export async function edgeStartCommand(io: Io, flags: EdgeFlags): Promise<void> {
  const { edge, docker, report } = open(io, flags);
  const change = (state: EdgeState): EdgeState => ({
    ...state,
    settings: {
      ...state.settings,
      ...(flags.httpPort ? { httpPort: flags.httpPort } : {}),
      ...(flags.httpsPort ? { httpsPort: flags.httpsPort } : {}),
      ...(flags.image ? { image: flags.image } : {}),
    },
  });
  if (flags.dryRun) {
    const { settings: planned } = change(await edge.read());
    const running = await edge.isRunning();
    say(
      io,
      flags,
      { name: edge.name, running, httpPort: planned.httpPort, httpsPort: planned.httpsPort, image: planned.image },
      `${edge.name} ${running ? 'runs; it would serve' : 'would be started from '}${running ? '' : planned.image} on ports ${planned.httpPort} and ${planned.httpsPort}`,
    );
    return;
  }
  await edge.change(change);
  await pullIfMissing(docker, (await edge.read()).settings.image, report);
  await edge.ensureRunning();
  const { settings } = await edge.read();
  say(
    io,
    flags,
    { name: edge.name, running: true, ...settings },
    `${edge.name} serves on ports ${settings.httpPort} and ${settings.httpsPort}`,
  );
}

export async function edgeUpgradeCommand(io: Io, flags: EdgeFlags): Promise<void> {
  const { edge, docker, report } = open(io, flags);
  const { settings } = await edge.read();
  const image = flags.image ?? settings.image;
  if (flags.dryRun) {
    say(
      io,
      flags,
      { from: settings.image, to: image },
      `a new container of ${image} would take over the listening sockets; the present one would end once its streams have`,
    );
    return;
  }
  await pullIfMissing(docker, image, report);
  await edge.upgrade(image);
  const { running } = await edge.status();
  say(
    io,
    flags,
    { name: edge.name, ...running },
    `${running?.container} runs HAProxy ${running?.haproxy} (${image}) and has taken over the listening sockets`,
  );
}

export async function edgeStopCommand(io: Io, flags: EdgeFlags): Promise<void> {
  const { edge } = open(io, flags);
  const routes = allBackends(await edge.read()).map(({ project, backend }) => `${project}: ${describeBackend(backend)}`);
  const text = [`Stop ${edge.name}. These routes are down until it is started again:`, ...routes.map((route) => `  - ${route}`)].join('\n');
  if (flags.dryRun) {
    say(io, flags, { routes }, text);
    return;
  }
  if (!flags.json) io.stdout(`${text}\n`);
  if (!(await ask(io, 'Stop it?', flags.yes))) throw new Failure('DECLINED', 'not confirmed; nothing was touched');
  await edge.stop();
  say(io, flags, { name: edge.name, running: false }, `${edge.name} is stopped`);
}

export async function edgeCertificatesCommand(io: Io, flags: EdgeFlags): Promise<void> {
  const { edge, folder, report } = open(io, flags);
  if (!flags.dryRun) await obtainCertificates(edge, await edge.read(), { stateFolder: folder, report });
  const certificates = await certificateStatus(folder, await edge.read(), Date.now());
  say(io, flags, { certificates }, certificates.length > 0 ? certificateTable(certificates).trimEnd() : 'no route asks for a certificate');
}
